-- The records that need a person, and the vendor's last answer.
SELECT transaction_id, merchant_biz_id, product_code, region, verified_at, first_seen_at, attempts, failed_runs,
       last_call_code, last_call_at, last_message
FROM transactions
WHERE state = 'quarantined'
ORDER BY deleted_from, transaction_id
