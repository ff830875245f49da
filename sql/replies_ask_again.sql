-- What was answered, and whose answer is nowhere any more, is pending again.
UPDATE transactions
SET state = 'pending', last_call_code = NULL, passed = NULL, sub_code = NULL
WHERE number = ?1 AND state = 'answered'
