-- What the ledger knows of an id that the vendor's records name.
SELECT number, transaction_id, product_code, region, verified_at, state, passed, sub_code
FROM transaction_states
WHERE transaction_id = :transaction_id
