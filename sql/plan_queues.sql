-- The region of each row that is due now, by product and in the order of the plan: how many rows each region has of it is
-- counted by the program.
SELECT product_code, region, deleted_from
FROM transactions INDEXED BY transactions_pending
WHERE state = 'pending' AND next_due_at <= :now
ORDER BY product_code, deleted_from, number
