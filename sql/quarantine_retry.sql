-- Asks for all quarantined records again.
UPDATE transactions
SET state = 'pending', failed_runs = 0, next_due_at = 0
WHERE state = 'quarantined'
