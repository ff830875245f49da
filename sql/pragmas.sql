-- How every connection to the ledger is set up; each line has its reason.
-- Readers (status, the plan) go on while the writer commits.
PRAGMA journal_mode = WAL;
-- A commit is on the disk before a reply counts; NORMAL could lose the last ones with the power.
PRAGMA synchronous = FULL;
PRAGMA foreign_keys = ON;
-- Milliseconds to wait for a person's own sqlite3 shell that holds the ledger for a moment.
PRAGMA busy_timeout = 5000;
-- KiB of page cache (negative = KiB): bounded, whatever the number of ids.
PRAGMA cache_size = -16384;
-- Pages between checkpoints (32 MiB: a night writes the same pages again and again, and each checkpoint writes them all
-- once more), and bytes that the WAL keeps after one.
PRAGMA wal_autocheckpoint = 8000;
PRAGMA journal_size_limit = 67108864;
