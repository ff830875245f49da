-- Adds what a later row says to a known id. One that :reopens was quarantined or given up, and is asked for again: what was missing
-- may be why. When a row is due follows from its deadline, so it changes with that: it is due by :due_by at the latest.
UPDATE transactions
SET merchant_biz_id = :merchant_biz_id,
    product_code = :product_code,
    product_assumed = :product_assumed,
    region = :region,
    region_assumed = :region_assumed,
    verified_at = :verified_at,
    deleted_from = coalesce(:verified_at + 2592000000000, first_seen_at),
    age_known = :verified_at IS NOT NULL,
    failed_runs = iif(:reopens, 0, failed_runs),
    not_completed_runs = iif(:reopens, 0, not_completed_runs),
    next_due_at = iif(:reopens OR :is_due, 0, min(next_due_at, max(:due_by, 0))),
    state = iif(:reopens, 'pending', state)
WHERE number = :number
