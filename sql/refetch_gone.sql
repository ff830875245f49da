-- Archived ids that no file of the archive holds any more, and the vendor has deleted.
SELECT transaction_id, product_code, region, verified_at, passed, sub_code
FROM transactions
WHERE state = 'answered'
  AND coalesce(verified_at, first_seen_at) + 2592000000000 <= :now
  AND NOT EXISTS (SELECT 1 FROM temp.seen WHERE seen.number = transactions.number)
  AND NOT EXISTS (
      SELECT 1 FROM journal
      WHERE journal.verified_order = coalesce(transactions.verified_at, 9223372036854775807)
        AND journal.number = transactions.number)
ORDER BY number
