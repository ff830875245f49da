-- Every unfetched record (pending or quarantined) that is gone by :horizon, those of unknown age, and those already lost;
-- earliest first. Last, whether a run that knew of it ended in an outage of its product and region before its deadline.
SELECT transaction_id, merchant_biz_id, product_code, region, verified_at, first_seen_at, state, attempts,
       last_call_code, code_in_time,
       EXISTS (SELECT 1 FROM regional_outages AS outages JOIN runs USING (run_number)
               WHERE outages.product_code = near.product_code AND outages.region = near.region
                 AND outages.run_number >= near.first_run
                 AND runs.started_at < coalesce(near.verified_at, near.first_seen_at) + 2592000000000)
FROM (
    SELECT * FROM transactions INDEXED BY transactions_pending
    WHERE state = 'pending' AND (NOT age_known OR deleted_from <= :horizon)
    UNION ALL
    SELECT * FROM transactions INDEXED BY transactions_attention
    WHERE state = 'quarantined' AND (NOT age_known OR deleted_from <= :horizon)
    UNION ALL
    SELECT * FROM transactions INDEXED BY transactions_attention
    WHERE state = 'lost') AS near
ORDER BY coalesce(verified_at, first_seen_at), transaction_id
