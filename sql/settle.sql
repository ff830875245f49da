-- Writes down how a call ended. Only a pending row can be settled.
UPDATE transactions
SET state = :state,
    attempts = attempts + :attempts,
    not_completed_runs = not_completed_runs + :not_completed,
    failed_runs = failed_runs + :failed,
    next_due_at = :next_due_at,
    last_call_code = :call_code,
    last_call_at = :called_at,
    last_message = :message,
    code_in_time = CASE
        WHEN :passed IS NOT NULL THEN NULL
        WHEN :called_at < coalesce(verified_at, first_seen_at) + 2592000000000 THEN :call_code
        ELSE code_in_time END,
    passed = :passed,
    sub_code = :sub_code
WHERE number = :number AND state = 'pending'
