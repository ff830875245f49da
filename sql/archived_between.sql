-- Verifications in the archive of the billing days :from to :to, both included.
SELECT coalesce(sum(rows), 0)
FROM files
WHERE state = 'published' AND dataset = 'verifications' AND billing_day BETWEEN :from AND :to
