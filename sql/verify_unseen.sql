-- Archived ids that are in no file of the archive.
SELECT transaction_id FROM standing
WHERE state = 'archived'
  AND NOT EXISTS (SELECT 1 FROM temp.seen WHERE seen.transaction_id = standing.transaction_id)
