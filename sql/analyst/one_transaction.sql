-- All that is known of one transaction: here the first by its id. Put yours in the place of the inner query.
SELECT transaction_id, product_code, region, verified_at, fetched_at, passed, sub_code, parse_status, run_id
FROM verifications_safe
WHERE transaction_id = (SELECT min(transaction_id) FROM verifications_safe);
