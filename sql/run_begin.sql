INSERT INTO runs (run_id, answered_by, started_at) VALUES (:run_id, :answered_by, :started_at)
