-- Where the last large reply of the journal ends in their file; nothing where there is none.
SELECT reply_start + reply_bytes
FROM journal INDEXED BY journal_large
WHERE reply_start IS NOT NULL
ORDER BY reply_start DESC
LIMIT 1
