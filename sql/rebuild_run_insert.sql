-- A run as its id tells of it: under its own number where that is free. How it ended is not known; that it did is.
INSERT INTO runs (run_number, run_id, answered_by, started_at, ended_at)
VALUES (CASE WHEN NOT EXISTS (SELECT 1 FROM runs WHERE run_number = :run_number) THEN :run_number END,
        :run_id, :answered_by, :started_at, :started_at)
