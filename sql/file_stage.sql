-- Writes down the intent to publish a file.
INSERT INTO files (path, dataset, billing_day, rows, bytes, sha256, run_id, state)
VALUES (:path, :dataset, :billing_day, :rows, :bytes, :sha256, :run_id, 'staged')
