-- Where the large replies of the journal are.
SELECT number, transaction_id, reply_start, reply_bytes, reply_crc32
FROM journal INDEXED BY journal_large
WHERE reply_start IS NOT NULL
ORDER BY reply_start
