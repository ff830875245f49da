-- Drops the journalled replies whose files are published, up to the last of them: :last_number at :last_order.
DELETE FROM journal
WHERE (verified_order, number) <= (:last_order, :last_number)
