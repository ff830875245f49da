-- Keeps a final reply as it came, and what it says of its transaction.
INSERT INTO journal (number, verified_order, run_number, fetched_at, attempts, call_code, passed, sub_code, body)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
