-- The manifest, and whether each file is at rest: its billing day is before :before, or, where that is unknown, it was
-- published before :published_before.
SELECT path, dataset, billing_day, rows, bytes, sha256, run_id, coalesce(billing_day < :before, published_at < :published_before)
FROM files
WHERE state = 'published'
ORDER BY dataset, billing_day, path
