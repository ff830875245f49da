-- Gives a quarantined record up: a person knows that there is nothing to archive.
UPDATE transactions
SET state = 'abandoned', last_message = :reason
WHERE state = 'quarantined' AND transaction_id = :transaction_id
