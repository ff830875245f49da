-- Whether the last run came to its end.
SELECT ended_at IS NOT NULL FROM runs ORDER BY run_number DESC LIMIT 1
