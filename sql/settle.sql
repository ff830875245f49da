-- Writes down how a call ended that brought no final reply. Only a pending row can be settled.
UPDATE transactions
SET state = :state,
    attempts = attempts + :attempts,
    not_completed_runs = not_completed_runs + :not_completed,
    -- An id that fails in several passes of a run counts once.
    failed_runs = failed_runs + (:failed AND failed_in_run IS NOT :run_number),
    failed_in_run = iif(:failed, :run_number, failed_in_run),
    next_due_at = :next_due_at,
    last_call_code = :call_code,
    last_call_at = :called_at,
    last_message = :message,
    code_in_time = iif(
        :called_at < coalesce(verified_at, first_seen_at) + 2592000000000, :call_code, code_in_time)
WHERE number = :number AND state = 'pending'
