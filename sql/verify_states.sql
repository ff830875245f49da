-- How many ids are in each state: every row is looked at.
SELECT state, count(*) FROM standing GROUP BY state
