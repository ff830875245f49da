-- The journalled rows in the order of publication.
SELECT j.transaction_id, j.merchant_biz_id, j.product_code, j.region, j.verified_order, j.passed, j.sub_code,
       r.run_id, j.fetched_at, j.body, j.number, j.reply_start, j.reply_bytes, j.reply_crc32
FROM journal AS j INDEXED BY journal_order
CROSS JOIN runs AS r ON r.run_number = j.run_number
ORDER BY j.verified_order, j.number
