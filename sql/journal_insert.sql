-- Keeps a final reply as it came, what it says of its transaction, and what the archive says of that; only of a pending one.
-- What fails takes the whole commit back, so SQLite need not keep each statement's pages to take that back alone.
INSERT OR ROLLBACK INTO journal (number, verified_order, transaction_id, merchant_biz_id, product_code, region, run_number,
                                 fetched_at, attempts, call_code, passed, sub_code, body, reply_start, reply_bytes, reply_crc32)
SELECT number, coalesce(verified_at, 9223372036854775807), transaction_id, merchant_biz_id, product_code, region, ?2, ?3, ?4,
       ?5, ?6, ?7, ?8, ?9, ?10, ?11
FROM transactions
WHERE number = ?1 AND state = 'pending'
