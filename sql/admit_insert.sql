-- Takes an unknown id in. The parameters are those of admit_insert_many.sql.
INSERT INTO transactions (transaction_id, merchant_biz_id, product_code, product_assumed, region, region_assumed,
                          verified_at, first_seen_at, first_run, deleted_from, age_known)
SELECT column1, column2, column3, column4, column5, column6, column7,
       :first_seen_at, :first_run, coalesce(column7 + 2592000000000, :first_seen_at), column7 IS NOT NULL
FROM (VALUES (?, ?, ?, ?, ?, ?, ?))
