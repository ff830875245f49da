-- Who answered the earlier runs.
SELECT answered_by FROM runs WHERE answered_by IS NOT NULL ORDER BY run_number LIMIT 1
