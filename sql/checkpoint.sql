-- Writes what the WAL holds into the ledger, and syncs that. PASSIVE waits for nobody who reads.
PRAGMA wal_checkpoint(PASSIVE);
