-- What a staged file says of an id that is not answered, or whose reply was taken back.
UPDATE transactions
SET state = 'answered', passed = :passed, sub_code = :sub_code, last_call_at = :fetched_at, last_call_code = 'Success',
    last_message = NULL, code_in_time = NULL, next_due_at = 0
WHERE transaction_id = :transaction_id AND state <> 'answered'
