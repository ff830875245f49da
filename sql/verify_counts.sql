-- How many ids there are, their highest number, and how many are archived.
SELECT count(*), coalesce(max(number), 0), count(*) FILTER (WHERE state = 'archived') FROM transaction_states
