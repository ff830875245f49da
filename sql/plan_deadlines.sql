-- The pending rows of every product in the order in which they are asked for, for the forecast: product, deadline,
-- and whether the age is known.
SELECT product_code, coalesce(verified_at, first_seen_at) + 2592000000000, verified_at IS NOT NULL
FROM transactions INDEXED BY transactions_pending
WHERE state = 'pending' AND next_due_at <= :due_by AND (:with_not_completed OR coalesce(last_call_code, '') <> 'ProcessNotCompleted')
ORDER BY product_code, deleted_from, transaction_id
