-- What the ledger knows of an id that a pending source names.
SELECT number, merchant_biz_id, product_code, product_assumed, region, region_assumed, verified_at,
       first_seen_at, first_run, state
FROM transactions
WHERE transaction_id = :transaction_id
