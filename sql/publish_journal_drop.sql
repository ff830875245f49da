-- Drops the journalled replies of a billing day whose files are published.
DELETE FROM journal
WHERE transaction_id IN (
    SELECT transaction_id
    FROM transactions INDEXED BY transactions_journalled
    WHERE state = 'journalled' AND verified_order BETWEEN :first AND :last)
