-- The earliest journalled row that is to be published: its verified_at, or no row at all.
SELECT verified_at
FROM transactions INDEXED BY transactions_journalled
WHERE state = 'journalled'
ORDER BY verified_order, transaction_id
LIMIT 1
