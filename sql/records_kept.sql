-- The records that were kept, with what the ledger knows of their ids.
SELECT known.number, known.transaction_id, known.product_code, known.region, known.verified_at, known.state, known.passed,
       known.sub_code, known.first_seen_at,
       iif(known.state = 'abandoned',
           (SELECT last_call_code = 'ProcessNotCompleted' FROM transactions WHERE transactions.number = known.number), 0),
       record.transaction_id, record.merchant_biz_id, record.product_code, record.region, record.verified_at, record.passed,
       record.sub_code
FROM temp.records AS record
LEFT JOIN transaction_states AS known ON known.transaction_id = record.transaction_id
ORDER BY record.entry
