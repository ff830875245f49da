-- Ids by state, of the verifications made from :start to before :end.
SELECT state, count(*) FROM transaction_states WHERE verified_at >= :start AND verified_at < :end GROUP BY state
