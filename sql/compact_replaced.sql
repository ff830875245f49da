-- The files of the manifest that a staged file replaces.
SELECT path, dataset, billing_day, rows, bytes, sha256, run_id FROM files WHERE replaced_by = :path ORDER BY path
