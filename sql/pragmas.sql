-- How every connection to the ledger is set up; each line has its reason.
-- A commit is on the disk before a reply counts; NORMAL could lose the last ones with the power. EXTRA is FULL in WAL mode; where
-- there is a rollback journal instead, its removal is synced, too: one that came back after that would undo what came later. (A journal
-- that a crash left is removed before this is set; the next one's first sync, or the WAL's, is of the folder, too.)
PRAGMA synchronous = EXTRA;
PRAGMA foreign_keys = ON;
-- Milliseconds to wait for a person's own sqlite3 shell that holds the ledger for a moment.
PRAGMA busy_timeout = 5000;
-- KiB of page cache (negative = KiB), whatever the number of ids. Few pages are wanted twice: the journal and a source are read in
-- the ledger's order, and each commit of the writer's drops what the plan has read.
PRAGMA cache_size = -2048;
-- Bytes that the WAL keeps after a checkpoint.
PRAGMA journal_size_limit = 67108864;
-- What is deleted is overwritten: replies hold age, gender and scores, and free pages would keep them for years, also in backups.
PRAGMA secure_delete = ON;
