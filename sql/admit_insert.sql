-- Takes an unknown id in.
INSERT INTO transactions (transaction_id, merchant_biz_id, product_code, product_assumed, region, region_assumed,
                          verified_at, first_seen_at, first_run, deleted_from, age_known)
VALUES (:transaction_id, :merchant_biz_id, :product_code, :product_assumed, :region, :region_assumed,
        :verified_at, :first_seen_at, :first_run, coalesce(:verified_at + 2592000000000, :first_seen_at),
        :verified_at IS NOT NULL)
