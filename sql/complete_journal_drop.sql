-- Drops the reply of an id that a completed file holds.
DELETE FROM journal
WHERE (verified_order, number) = (
    SELECT coalesce(verified_at, 9223372036854775807), number FROM transactions WHERE transaction_id = :transaction_id)
