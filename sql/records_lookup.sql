-- What the ledger knows of an id that the vendor's records name.
SELECT number, transaction_id, product_code, region, verified_at, state, passed, sub_code, first_seen_at,
       iif(state = 'abandoned',
           (SELECT last_call_code = 'ProcessNotCompleted' FROM transactions WHERE transactions.number = transaction_states.number), 0)
FROM transaction_states
WHERE transaction_id = :transaction_id
