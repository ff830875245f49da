-- Asks for a record again that is in quarantine, or was given up: dropped by mistake, abandoned or lost.
UPDATE transactions
SET state = 'pending', failed_runs = 0, not_completed_runs = 0, next_due_at = 0
WHERE transaction_id = :transaction_id AND (state = 'quarantined' OR state = 'abandoned' OR state = 'lost')
