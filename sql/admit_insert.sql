-- Takes an unknown id in.
INSERT INTO transactions (transaction_id, merchant_biz_id, product_code, product_assumed, region, region_assumed,
                          verified_at, first_seen_at, first_run)
VALUES (:transaction_id, :merchant_biz_id, :product_code, :product_assumed, :region, :region_assumed,
        :verified_at, :first_seen_at, :first_run)
