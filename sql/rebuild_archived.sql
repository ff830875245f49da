-- Makes an id archived, as a file of the archive has it. When it was first seen is not known: it counts from when it was fetched.
INSERT INTO transactions (transaction_id, merchant_biz_id, product_code, product_assumed, region, region_assumed, verified_at,
                          first_seen_at, first_run, deleted_from, age_known, state, attempts, last_call_code, last_call_at,
                          passed, sub_code)
VALUES (:transaction_id, :merchant_biz_id, :product_code, 0, :region, 0, :verified_at,
        :fetched_at, :first_run, coalesce(:verified_at + 2592000000000, :fetched_at), :verified_at IS NOT NULL, 'answered', 1,
        'Success', :fetched_at, :passed, :sub_code)
ON CONFLICT (transaction_id) DO UPDATE
SET merchant_biz_id = excluded.merchant_biz_id,
    product_code = excluded.product_code,
    region = excluded.region,
    verified_at = excluded.verified_at,
    deleted_from = coalesce(excluded.verified_at + 2592000000000, first_seen_at),
    age_known = excluded.age_known,
    state = 'answered',
    next_due_at = 0,
    last_call_code = 'Success',
    last_call_at = excluded.last_call_at,
    last_message = NULL,
    code_in_time = NULL,
    passed = excluded.passed,
    sub_code = excluded.sub_code
