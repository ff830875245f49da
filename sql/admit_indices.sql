-- What makes the indices again that admit_indices_drop.sql drops.
SELECT sql
FROM sqlite_schema
WHERE type = 'index' AND name IN ('transactions_id', 'transactions_pending')
ORDER BY name
