-- Archived ids that are in no file of the archive.
SELECT transaction_id FROM transaction_states
WHERE state = 'archived' AND NOT EXISTS (SELECT 1 FROM temp.seen WHERE seen.number = transaction_states.number)
ORDER BY number
