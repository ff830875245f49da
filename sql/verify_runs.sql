SELECT run_id FROM runs
