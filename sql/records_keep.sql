INSERT OR IGNORE INTO temp.records
    (transaction_id, merchant_biz_id, product_code, region, verified_at, passed, sub_code, is_new)
VALUES (:transaction_id, :merchant_biz_id, :product_code, :region, :verified_at, :passed, :sub_code, :is_new)
