-- The number of a run.
SELECT run_number FROM runs WHERE run_id = :run_id
