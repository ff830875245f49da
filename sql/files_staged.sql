-- Files whose publication a crash cut off; without those that are to be in the place of others.
SELECT path FROM files
WHERE state = 'staged' AND NOT EXISTS (SELECT 1 FROM files AS old WHERE old.replaced_by = files.path)
ORDER BY path
