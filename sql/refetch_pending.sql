-- Archived ids that no file of the archive holds any more are pending again, as long as the vendor still has them.
UPDATE transactions
SET state = 'pending', passed = NULL, sub_code = NULL, next_due_at = 0, last_call_code = NULL,
    last_message = 'asked for again: its file in the archive was missing or damaged'
WHERE state = 'answered'
  AND coalesce(verified_at, first_seen_at) + 2592000000000 > :now
  AND NOT EXISTS (SELECT 1 FROM temp.seen WHERE seen.number = transactions.number)
  AND NOT EXISTS (
      SELECT 1 FROM journal
      WHERE journal.verified_order = coalesce(transactions.verified_at, 9223372036854775807)
        AND journal.number = transactions.number)
