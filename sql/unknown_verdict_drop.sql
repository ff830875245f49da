-- Drops the replies whose transaction has got its verdict.
DELETE FROM unknown_verdicts
WHERE EXISTS (SELECT 1 FROM transactions AS own WHERE own.number = unknown_verdicts.number AND own.state = 'answered')
