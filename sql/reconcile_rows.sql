-- The records of the days from :first to :last, both included in microseconds, and those of unknown day.
SELECT number, transaction_id, product_code, region, verified_at, state, passed, sub_code
FROM transaction_states
WHERE verified_at IS NULL OR verified_at BETWEEN :first AND :last
