-- The ledger belongs to this archive from now on.
INSERT INTO identity (one, archive_id) VALUES (1, :archive_id)
