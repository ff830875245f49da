-- Where the ledger's tables contradict each other, in words.
SELECT transaction_id || ' is journalled and its reply is not in the journal, or not under its time'
FROM transactions
WHERE state = 'journalled' AND NOT EXISTS (
    SELECT 1 FROM journal
    WHERE journal.verified_order = coalesce(transactions.verified_at, 9223372036854775807)
      AND journal.number = transactions.number)
UNION ALL
SELECT coalesce((SELECT transaction_id FROM transactions WHERE transactions.number = journal.number), 'number ' || number)
    || ' has a reply in the journal and is not journalled'
FROM journal
-- A run that is under way, or was cut off, leaves rows that are to follow their replies.
WHERE NOT EXISTS (
    SELECT 1 FROM transactions
    WHERE transactions.number = journal.number
      AND (state = 'journalled' OR state = 'pending' AND journal.passed IS NOT NULL))
UNION ALL
SELECT 'the highest number is ' || max(number) || ' and there are ' || count(*) || ' ids'
FROM transactions
HAVING max(number) <> count(*)
UNION ALL
SELECT path || ' has ' || rows || ' rows in the manifest and is tallied as '
    || coalesce((SELECT sum(verifications) FROM tallies WHERE tallies.path = files.path), 0)
FROM files
WHERE state = 'published' AND dataset = 'verifications'
  AND rows IS NOT (SELECT sum(verifications) FROM tallies WHERE tallies.path = files.path)
UNION ALL
SELECT DISTINCT path || ' is tallied and is not a published file of verifications'
FROM tallies
WHERE NOT EXISTS (
    SELECT 1 FROM files WHERE files.path = tallies.path AND state = 'published' AND dataset = 'verifications')
UNION ALL
SELECT path || ' is ' || state || iif(published_at IS NULL, ' without', ' with') || ' a time of publication'
FROM files
WHERE (state = 'published') <> (published_at IS NOT NULL)
