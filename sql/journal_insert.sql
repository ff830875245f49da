-- Keeps a final reply as it came.
INSERT INTO journal (transaction_id, run_id, fetched_at, body)
VALUES (:transaction_id, :run_id, :fetched_at, :body)
