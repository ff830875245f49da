-- Every id that is not archived. A journalled one counts as pending: its reply is in the ledger only, and the vendor gives it again.
SELECT t.transaction_id, t.merchant_biz_id, t.product_code, t.product_assumed, t.region, t.region_assumed, t.verified_at,
       t.first_seen_at, runs.run_id, t.state, t.next_due_at, t.attempts, t.not_completed_runs, t.failed_runs,
       t.last_call_code, t.last_call_at, t.last_message, t.code_in_time
FROM transactions AS t INDEXED BY transactions_pending
CROSS JOIN runs ON runs.run_number = t.first_run
WHERE t.state = 'pending'
UNION ALL
SELECT t.transaction_id, t.merchant_biz_id, t.product_code, t.product_assumed, t.region, t.region_assumed, t.verified_at,
       t.first_seen_at, runs.run_id, t.state, t.next_due_at, t.attempts, t.not_completed_runs, t.failed_runs,
       t.last_call_code, t.last_call_at, t.last_message, t.code_in_time
FROM transactions AS t INDEXED BY transactions_attention
CROSS JOIN runs ON runs.run_number = t.first_run
WHERE t.state = 'quarantined' OR t.state = 'lost' OR t.state = 'abandoned'
UNION ALL
SELECT t.transaction_id, t.merchant_biz_id, t.product_code, t.product_assumed, t.region, t.region_assumed, t.verified_at,
       t.first_seen_at, runs.run_id, 'pending', t.next_due_at, t.attempts, t.not_completed_runs, t.failed_runs,
       t.last_call_code, t.last_call_at, t.last_message, t.code_in_time
FROM journal AS reply INDEXED BY journal_order
CROSS JOIN transactions AS t ON t.number = reply.number
CROSS JOIN runs ON runs.run_number = t.first_run
