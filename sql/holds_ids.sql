-- Whether an id ever came in: 1 or 0.
SELECT EXISTS (SELECT 1 FROM transactions)
