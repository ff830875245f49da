-- Keeps a final reply as it came.
INSERT INTO journal (number, verified_order, run_number, fetched_at, body)
SELECT number, coalesce(verified_at, 9223372036854775807), :run_number, :fetched_at, :body
FROM transactions
WHERE number = :number
