-- The history of the archive: a record for each commit that changed it, and for each decision about it. Records are never changed.
CREATE TABLE changes (
    commit_number INTEGER PRIMARY KEY,              -- 1, 2, 3, ... without a gap
    sha256        TEXT    NOT NULL,                 -- of the record's bytes; the next record names it
    record        TEXT    NOT NULL                  -- archive/_changes/ has the same bytes
) STRICT;

-- Whose ledger it is.
CREATE TABLE identity (
    one        INTEGER PRIMARY KEY CHECK (one = 1),
    archive_id TEXT    NOT NULL,                    -- every record of the history has it, too
    account    TEXT,                                -- the configured name of the account that is asked; null: it has none
    endpoints  TEXT                                 -- JSON: the host that is asked in each region; null: nobody was asked yet
) STRICT;
