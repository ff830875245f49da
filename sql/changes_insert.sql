-- Keeps a record of the archive's history.
INSERT INTO changes (commit_number, sha256, record) VALUES (:commit_number, :sha256, :record)
