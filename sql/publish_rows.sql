-- The journalled rows of one billing day: verified_order from :first to :last, both included.
SELECT t.transaction_id, t.merchant_biz_id, t.product_code, t.region, t.verified_at, t.passed, t.sub_code,
       r.run_id, j.fetched_at, j.body, j.verified_order, j.number
FROM journal AS j INDEXED BY journal_order
CROSS JOIN transactions AS t ON t.number = j.number
CROSS JOIN runs AS r ON r.run_number = j.run_number
WHERE j.verified_order BETWEEN :first AND :last AND t.state = 'journalled'
ORDER BY j.verified_order, j.number
