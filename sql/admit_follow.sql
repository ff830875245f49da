-- What the ledger knows of the ids that came in from :number on, in that order.
SELECT number, transaction_id, merchant_biz_id, product_code, product_assumed, region, region_assumed, verified_at,
       first_run, state
FROM transactions
WHERE number >= :number
ORDER BY number
