-- Unfetched records of known age whose 30 days end after :now and by :until. What the customer had not finished when it
-- was last asked for is nothing to lose yet.
SELECT count(*)
FROM transactions
WHERE (state = 'pending' OR state IN ('quarantined', 'lost'))
  AND state <> 'lost'
  AND verified_at IS NOT NULL
  AND deleted_from > :now AND deleted_from <= :until
  AND coalesce(last_call_code, '') <> 'ProcessNotCompleted'
