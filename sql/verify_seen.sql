-- Ids that the archive holds, while it is verified.
CREATE TEMP TABLE IF NOT EXISTS seen (transaction_id TEXT NOT NULL PRIMARY KEY) WITHOUT ROWID;
DELETE FROM seen;
