-- Every unfetched record (pending or quarantined) that is gone by :horizon, those of unknown age, and those already lost;
-- earliest first.
SELECT transaction_id, merchant_biz_id, product_code, region, verified_at, first_seen_at, state, attempts,
       not_completed_runs, last_call_code, last_call_at
FROM transactions
WHERE (state = 'pending' OR state IN ('quarantined', 'lost'))
  AND (state = 'lost' OR verified_at IS NULL OR deleted_from <= :horizon)
ORDER BY coalesce(verified_at, first_seen_at), transaction_id
