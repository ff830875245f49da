-- What the plan's index holds, in its order.
SELECT product_code, deleted_from, number, next_due_at, last_call_code, age_known
FROM transactions INDEXED BY transactions_pending
WHERE state = 'pending'
