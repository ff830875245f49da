-- Large replies are in a file beside the ledger, and their rows have an empty body: where the reply begins there, its bytes, and its
-- CRC-32. Of a row that has its reply itself all three are null, so that they are read without reading the body before them.
ALTER TABLE journal ADD COLUMN reply_start INTEGER;
ALTER TABLE journal ADD COLUMN reply_bytes INTEGER;
ALTER TABLE journal ADD COLUMN reply_crc32 INTEGER;

-- They are found without a walk through the journal.
CREATE UNIQUE INDEX journal_large ON journal (reply_start) WHERE reply_start IS NOT NULL;
