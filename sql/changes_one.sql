-- A record of the archive's history.
SELECT commit_number, sha256, record FROM changes WHERE commit_number = :commit_number
