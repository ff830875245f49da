-- The highest number of an id.
SELECT coalesce(max(number), 0) FROM transactions
