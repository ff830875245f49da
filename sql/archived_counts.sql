-- Rows of the manifest's files, and verifications in their tallies: both are the number of archived ids.
SELECT (SELECT coalesce(sum(rows), 0) FROM files WHERE state = 'published' AND dataset = 'verifications'),
       (SELECT coalesce(sum(verifications), 0) FROM tallies)
