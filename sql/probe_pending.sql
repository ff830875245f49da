-- The pending record of the product in the region that comes last in the plan.
SELECT transaction_id, merchant_biz_id, product_code, region, verified_at, first_seen_at, not_completed_runs, failed_runs, number
FROM transactions INDEXED BY transactions_pending
WHERE state = 'pending' AND product_code = :product_code AND region = :region
ORDER BY deleted_from DESC, number DESC
LIMIT 1
