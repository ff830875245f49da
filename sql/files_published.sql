-- The manifest.
SELECT path, dataset, billing_day, rows, bytes, sha256, run_id FROM files WHERE state = 'published' ORDER BY path
