-- The rows of transactions follow their replies, those of the journal's entries after :after. In the order of their numbers,
-- which SQLite sees to by itself, so that each page is written once.
UPDATE transactions
SET state = 'answered',
    attempts = transactions.attempts + reply.attempts,
    next_due_at = 0,
    last_call_code = reply.call_code,
    last_call_at = reply.fetched_at,
    last_message = NULL,
    code_in_time = NULL,
    passed = reply.passed,
    sub_code = reply.sub_code
FROM journal AS reply
WHERE reply.entry > :after
  AND transactions.number = reply.number
  AND transactions.state = 'pending'
