-- Asks for a quarantined record again; :transaction_id null: for all of them.
UPDATE transactions
SET state = 'pending', failed_runs = 0, next_due_at = 0
WHERE state = 'quarantined' AND (:transaction_id IS NULL OR transaction_id = :transaction_id)
