-- The last record of the archive's history.
SELECT commit_number, sha256, record FROM changes ORDER BY commit_number DESC LIMIT 1
