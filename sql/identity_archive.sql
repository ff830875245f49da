-- The archive that the ledger belongs to.
SELECT archive_id FROM identity
