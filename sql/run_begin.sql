INSERT INTO runs (run_id, started_at) VALUES (:run_id, :started_at)
