-- A row of transactions takes over what its reply in the journal says.
UPDATE transactions
SET state = 'answered',
    attempts = attempts + ?2,
    next_due_at = 0,
    last_call_code = ?3,
    last_call_at = ?4,
    last_message = NULL,
    code_in_time = NULL,
    passed = ?5,
    sub_code = ?6
WHERE number = ?1 AND state = 'pending'
