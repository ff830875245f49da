-- The verdict of a final reply, which journal_insert.sql keeps in the same commit. Only a pending row of the product and age that the
-- plan gave can take it.
UPDATE transactions
SET state = 'answered',
    attempts = attempts + :attempts,
    next_due_at = 0,
    last_call_code = :call_code,
    last_call_at = :called_at,
    last_message = NULL,
    code_in_time = NULL,
    passed = :passed,
    sub_code = :sub_code
WHERE number = :number AND state = 'pending' AND product_code = :product_code AND verified_at IS :verified_at
