-- How many ids there are, and how many in each state but `archived`, from indices that hold these few and no others.
SELECT 'all', coalesce(max(number), 0) FROM transactions
UNION ALL
SELECT 'pending', count(*) FROM transactions INDEXED BY transactions_pending WHERE state = 'pending'
UNION ALL
SELECT 'journalled', count(*) FROM journal
UNION ALL
SELECT state, count(*) FROM transactions INDEXED BY transactions_attention
WHERE state = 'quarantined' OR state = 'lost' OR state = 'abandoned'
GROUP BY state
