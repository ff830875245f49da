-- The manifest.
SELECT path, dataset, billing_day, rows, bytes, sha256 FROM files WHERE state = 'published' ORDER BY path
