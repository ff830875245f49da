-- A record of the product in the region that the vendor has answered and should still have. It looks at a few hundred rows, the latest
-- first and the same number of ids apart: there is none to be found in a young ledger, and one of a dozen will do in an old one.
WITH RECURSIVE
    ids(amount) AS (SELECT coalesce(max(number), 0) FROM transactions),
    sample(number) AS (
        SELECT amount FROM ids
        UNION ALL
        SELECT number - max(1, (SELECT amount / 500 FROM ids)) FROM sample WHERE number > 1)
SELECT transaction_id, merchant_biz_id, product_code, region, verified_at, first_seen_at, not_completed_runs, failed_runs, number
FROM sample
CROSS JOIN transactions USING (number)
WHERE state = 'answered' AND product_code = :product_code AND region = :region AND deleted_from > :now
LIMIT 1
