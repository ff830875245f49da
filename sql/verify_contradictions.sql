-- Where the ledger's tables contradict each other, in words.
SELECT transaction_id || ' has a reply in the journal and is not journalled, or not as what the journal says'
FROM journal
WHERE NOT EXISTS (
    SELECT 1 FROM transactions AS t
    WHERE t.number = journal.number AND t.transaction_id = journal.transaction_id
      AND coalesce(t.verified_at, 9223372036854775807) = journal.verified_order
      AND (t.merchant_biz_id, t.product_code, t.region) IS (journal.merchant_biz_id, journal.product_code, journal.region)
      AND t.state = 'answered' AND t.passed = journal.passed AND t.sub_code = journal.sub_code)
UNION ALL
SELECT transaction_id || ' has a reply in the journal that no run has fetched'
FROM journal
WHERE run_number NOT IN (SELECT run_number FROM runs)
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
