-- The records that are due and were asked for since :since in vain, with the vendor's last answer.
SELECT transaction_id, merchant_biz_id, product_code, region, verified_at, first_seen_at, attempts, failed_runs,
       last_call_code, last_call_at, last_message
FROM transactions INDEXED BY transactions_pending
WHERE state = 'pending' AND next_due_at <= :now AND last_call_code IS NOT NULL AND last_call_at >= :since
ORDER BY product_code, deleted_from, number
