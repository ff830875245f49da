-- The records of the days from :first to :last, both included in microseconds, and those of unknown day. What the vendor said
-- last is looked up only of the few that are abandoned.
SELECT number, transaction_id, product_code, region, verified_at, state, passed, sub_code, first_seen_at,
       iif(state = 'abandoned',
           (SELECT last_call_code = 'ProcessNotCompleted' FROM transactions WHERE transactions.number = transaction_states.number), 0)
FROM transaction_states
WHERE verified_at IS NULL OR verified_at BETWEEN :first AND :last
