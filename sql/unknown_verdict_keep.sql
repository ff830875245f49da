-- Keeps the last reply of a transaction whose verdict is none that is known.
INSERT INTO unknown_verdicts (number, called_at, passed, body)
VALUES (:number, :called_at, :passed, :body)
ON CONFLICT (number) DO UPDATE SET called_at = excluded.called_at, passed = excluded.passed, body = excluded.body
