-- What the manifest has of a file that is staged.
SELECT path, dataset, billing_day, rows, bytes, sha256, run_id FROM files WHERE path = :path AND state = 'staged'
