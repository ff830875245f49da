-- How many ids there are, and how many in each state but `archived`, from indices that hold these few and no others.
-- Journalled is who has a reply in the journal, also where its own row has not followed yet, in a run that is under way or
-- was cut off.
SELECT 'all', coalesce(max(number), 0) FROM transactions
UNION ALL
SELECT 'pending', count(*) - (
    SELECT count(*)
    FROM journal AS reply INDEXED BY journal_order
    CROSS JOIN transactions AS own ON own.number = reply.number
    WHERE own.state = 'pending')
FROM transactions INDEXED BY transactions_pending
WHERE state = 'pending'
UNION ALL
SELECT 'journalled', count(*) FROM journal
UNION ALL
SELECT state, count(*) FROM transactions INDEXED BY transactions_attention
WHERE state = 'quarantined' OR state = 'lost' OR state = 'abandoned'
GROUP BY state
