-- A record of the product that the vendor has answered and should still have. It looks at a few thousand rows, no more: there
-- is none to be found in a young ledger, and one of a dozen will do in an old one.
SELECT transaction_id, merchant_biz_id, product_code, region, verified_at, first_seen_at, not_completed_runs, failed_runs
FROM (SELECT * FROM transactions ORDER BY transaction_id LIMIT 5000)
WHERE state = 'archived' AND product_code = :product_code AND deleted_from > :now
LIMIT 1
