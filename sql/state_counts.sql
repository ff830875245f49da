-- How many ids are in each state.
SELECT state, count(*) FROM transactions GROUP BY state
