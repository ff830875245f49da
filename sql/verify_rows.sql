-- Every row, in the order in which they are stored: first what verify_known.sql has, then what the indices hold of it. An
-- answered one counts as archived here; verify_journalled.sql has those that are not.
SELECT transaction_id, merchant_biz_id, iif(state = 'answered', 'archived', state), product_code, region, verified_at,
       last_call_at, passed, sub_code,
       number, deleted_from, next_due_at, last_call_code, age_known
FROM transactions NOT INDEXED
