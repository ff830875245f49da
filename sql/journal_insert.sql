-- Keeps a final reply as it came, what it says of its transaction, and what the archive says of that, which the plan has read; only of
-- a pending one, as the plan's index tells: its pages are read in the order of the replies, those of the rows by chance.
-- What fails takes the whole commit back, so SQLite need not keep each statement's pages to take that back alone.
INSERT OR ROLLBACK INTO journal (number, verified_order, transaction_id, merchant_biz_id, product_code, region, run_number,
                                 fetched_at, attempts, call_code, passed, sub_code, body, reply_start, reply_bytes, reply_crc32)
SELECT number, coalesce(?5, 9223372036854775807), ?2, ?3, product_code, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16
FROM transactions INDEXED BY transactions_pending
WHERE state = 'pending' AND product_code = ?4 AND deleted_from = coalesce(?5 + 2592000000000, ?17) AND number = ?1
