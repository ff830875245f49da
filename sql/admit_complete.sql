-- Adds what a later row says to a known id. A quarantined id is asked for again: what was missing may be why.
UPDATE transactions
SET merchant_biz_id = :merchant_biz_id,
    product_code = :product_code,
    product_assumed = :product_assumed,
    region = :region,
    region_assumed = :region_assumed,
    verified_at = :verified_at,
    deleted_from = coalesce(:verified_at + 2592000000000, first_seen_at),
    age_known = :verified_at IS NOT NULL,
    failed_runs = iif(state = 'quarantined', 0, failed_runs),
    state = iif(state = 'quarantined', 'pending', state)
WHERE number = :number
