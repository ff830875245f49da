-- The journalled rows of one billing day: verified_order from :first to :last, both included.
SELECT t.transaction_id, t.merchant_biz_id, t.product_code, t.region, t.verified_at, t.passed, t.sub_code,
       j.run_id, j.fetched_at, j.body
FROM transactions AS t INDEXED BY transactions_journalled
JOIN journal AS j ON j.transaction_id = t.transaction_id
WHERE t.state = 'journalled' AND t.verified_order BETWEEN :first AND :last
ORDER BY t.verified_order, t.transaction_id
