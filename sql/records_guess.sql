-- The same where the id has the number that it is guessed to have: half the way of records_lookup.sql.
SELECT number, transaction_id, product_code, region, verified_at, state, passed, sub_code, first_seen_at,
       iif(state = 'abandoned',
           (SELECT last_call_code = 'ProcessNotCompleted' FROM transactions WHERE transactions.number = transaction_states.number), 0)
FROM transaction_states
WHERE number = :number AND +transaction_id = :transaction_id
