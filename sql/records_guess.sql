-- The same where the id has the number that it is guessed to have: half the way of records_lookup.sql.
SELECT number, transaction_id, product_code, region, verified_at, state, passed, sub_code
FROM transaction_states
WHERE number = :number AND +transaction_id = :transaction_id
