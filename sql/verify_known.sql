-- What the ledger knows of an id that the archive holds.
SELECT transaction_id, merchant_biz_id, state, product_code, region, verified_at, last_call_at, passed, sub_code, number
FROM transaction_states WHERE transaction_id = :transaction_id
