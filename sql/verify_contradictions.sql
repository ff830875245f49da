-- Where the ledger's tables contradict each other, in words.
SELECT transaction_id || ' is journalled and its reply is not in the journal'
FROM transactions
WHERE state = 'journalled' AND NOT EXISTS (SELECT 1 FROM journal WHERE journal.transaction_id = transactions.transaction_id)
UNION ALL
SELECT transaction_id || ' has a reply in the journal and is not journalled'
FROM journal
WHERE NOT EXISTS (
    SELECT 1 FROM transactions WHERE transactions.transaction_id = journal.transaction_id AND state = 'journalled')
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
