-- Every unfetched record (pending or quarantined) that is gone by :horizon, those of unknown age, and those already lost;
-- earliest first.
SELECT transaction_id, merchant_biz_id, product_code, region, verified_at, first_seen_at, state, attempts,
       not_completed_runs, last_call_code, last_call_at
FROM (
    SELECT * FROM transactions INDEXED BY transactions_pending
    WHERE state = 'pending' AND (NOT age_known OR deleted_from <= :horizon)
    UNION ALL
    SELECT * FROM transactions INDEXED BY transactions_attention
    WHERE state = 'quarantined' AND (NOT age_known OR deleted_from <= :horizon)
    UNION ALL
    SELECT * FROM transactions INDEXED BY transactions_attention
    WHERE state = 'lost')
ORDER BY coalesce(verified_at, first_seen_at), transaction_id
