-- The ids of refetch_gone.sql are lost. Their message keeps the verdict.
UPDATE transactions
SET state = 'lost', next_due_at = 0, last_call_code = 'archive_damaged', code_in_time = 'archive_damaged',
    last_message = 'was archived as ' || iif(passed, 'passed', 'failed') || ', sub code ' || sub_code
        || '; its file in the archive was missing or damaged',
    passed = NULL, sub_code = NULL
WHERE state = 'answered'
  AND coalesce(verified_at, first_seen_at) + 2592000000000 <= :now
  AND NOT EXISTS (SELECT 1 FROM temp.seen WHERE seen.number = transactions.number)
  AND NOT EXISTS (
      SELECT 1 FROM journal
      WHERE journal.verified_order = coalesce(transactions.verified_at, 9223372036854775807)
        AND journal.number = transactions.number)
