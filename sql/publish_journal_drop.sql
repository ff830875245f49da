-- Drops the journalled replies of a billing day whose files are published, up to the last of them: :last_id at :last.
DELETE FROM journal
WHERE transaction_id IN (
    SELECT transaction_id
    FROM transactions INDEXED BY transactions_journalled
    WHERE state = 'journalled' AND verified_order >= :first AND (verified_order, transaction_id) <= (:last, :last_id))
