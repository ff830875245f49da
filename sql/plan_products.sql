-- How many rows are due now, by product.
SELECT product_code, count(*)
FROM transactions INDEXED BY transactions_pending
WHERE state = 'pending' AND next_due_at <= :now
GROUP BY product_code
ORDER BY product_code
