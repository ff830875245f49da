-- Whose ledger it is, as the history says.
INSERT INTO identity (one, archive_id, account, endpoints) VALUES (1, :archive_id, :account, :endpoints)
ON CONFLICT (one) DO UPDATE SET archive_id = excluded.archive_id, account = excluded.account, endpoints = excluded.endpoints
