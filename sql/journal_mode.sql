-- Readers (status, the plan) go on while the writer commits. It is written into the file; where that fails, the answer is
-- another mode than `wal`, and no error.
PRAGMA journal_mode = WAL;
