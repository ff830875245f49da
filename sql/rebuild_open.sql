-- Takes an id in that is not archived. Of an id that is known and not archived, this is the newer state.
INSERT INTO transactions (transaction_id, merchant_biz_id, product_code, product_assumed, region, region_assumed, verified_at,
                          first_seen_at, first_run, deleted_from, age_known, state, next_due_at, attempts, not_completed_runs,
                          failed_runs, last_call_code, last_call_at, last_message, code_in_time)
VALUES (:transaction_id, :merchant_biz_id, :product_code, :product_assumed, :region, :region_assumed, :verified_at,
        :first_seen_at, :first_run, coalesce(:verified_at + 2592000000000, :first_seen_at), :verified_at IS NOT NULL, :state,
        :next_due_at, :attempts, :not_completed_runs, :failed_runs, :last_call_code, :last_call_at, :last_message, :code_in_time)
ON CONFLICT (transaction_id) DO UPDATE
SET merchant_biz_id = excluded.merchant_biz_id,
    product_code = excluded.product_code,
    product_assumed = excluded.product_assumed,
    region = excluded.region,
    region_assumed = excluded.region_assumed,
    verified_at = excluded.verified_at,
    first_seen_at = excluded.first_seen_at,
    deleted_from = excluded.deleted_from,
    age_known = excluded.age_known,
    state = excluded.state,
    next_due_at = excluded.next_due_at,
    attempts = excluded.attempts,
    not_completed_runs = excluded.not_completed_runs,
    failed_runs = excluded.failed_runs,
    last_call_code = excluded.last_call_code,
    last_call_at = excluded.last_call_at,
    last_message = excluded.last_message,
    code_in_time = excluded.code_in_time
WHERE transactions.state <> 'answered'
