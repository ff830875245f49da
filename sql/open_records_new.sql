-- The ids that came in after the number :after.
SELECT t.transaction_id, t.merchant_biz_id, t.product_code, t.product_assumed, t.region, t.region_assumed, t.verified_at,
       t.first_seen_at, runs.run_id, t.state, t.next_due_at, t.attempts, t.not_completed_runs, t.failed_runs,
       t.last_call_code, t.last_call_at, t.last_message, t.code_in_time
FROM transactions AS t
CROSS JOIN runs ON runs.run_number = t.first_run
WHERE t.number > :after AND t.state <> 'answered'
ORDER BY t.number
