-- Keeps a final reply as it came, with what the archive says of its transaction.
INSERT INTO journal (number, verified_order, transaction_id, merchant_biz_id, product_code, region, run_number, fetched_at, passed,
                     sub_code, body, reply_start, reply_bytes, reply_crc32)
VALUES (:number, coalesce(:verified_at, 9223372036854775807), :transaction_id, :merchant_biz_id, :product_code, :region,
        :run_number, :fetched_at, :passed, :sub_code, :body, :reply_start, :reply_bytes, :reply_crc32)
