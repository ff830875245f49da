-- The pending records of the product that come last in the plan, the last first: one of each region is wanted, and a few
-- thousand are looked at.
SELECT transaction_id, merchant_biz_id, product_code, region, verified_at, first_seen_at, not_completed_runs, failed_runs, number
FROM transactions INDEXED BY transactions_pending
WHERE state = 'pending' AND product_code = :product_code
ORDER BY deleted_from DESC, number DESC
LIMIT 5000
