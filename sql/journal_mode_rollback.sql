-- A large transaction that mostly adds pages is written once, not twice: a rollback journal keeps only the pages that were there
-- before. Once it is larger than the page cache nobody reads until it is committed. Where somebody has the ledger open already, SQLite
-- says that it is busy, and the mode stays as it is.
PRAGMA journal_mode = DELETE;
