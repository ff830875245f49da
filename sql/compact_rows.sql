-- The rows of a staged file, of those that it replaces, and of their tallies.
SELECT rows, dataset,
       (SELECT sum(old.rows) FROM files AS old WHERE old.replaced_by = files.path),
       (SELECT sum(verifications) FROM tallies JOIN files AS old USING (path) WHERE old.replaced_by = files.path)
FROM files
WHERE path = :path AND state = 'staged'
