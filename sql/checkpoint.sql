-- Writes what the WAL holds into the ledger, syncs that, and empties the WAL.
PRAGMA wal_checkpoint(TRUNCATE);
