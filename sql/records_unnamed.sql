-- The records behind :entry that no source named.
SELECT entry, transaction_id, merchant_biz_id, product_code, region, verified_at, passed, sub_code
FROM temp.records
WHERE is_new AND entry > :entry
ORDER BY entry
LIMIT :rows
