-- The number of the next run.
SELECT coalesce(max(run_number), 0) + 1 FROM runs
