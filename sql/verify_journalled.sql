-- What verify_known.sql has, of the answered ids whose replies are in the journal.
SELECT t.transaction_id, t.merchant_biz_id, 'journalled', t.product_code, t.region, t.verified_at, t.last_call_at, t.passed,
       t.sub_code
FROM journal AS reply INDEXED BY journal_order
CROSS JOIN transactions AS t ON t.number = reply.number
WHERE t.state = 'answered' AND reply.verified_order = coalesce(t.verified_at, 9223372036854775807)
