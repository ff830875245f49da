-- Closed months from :from to :to (YYYY-MM, both included, null for all), the earliest first, each before its corrections.
SELECT month, 0 AS number, closed_at, sha256, record
FROM closed_months
WHERE :from IS NULL OR month BETWEEN :from AND :to
UNION ALL
SELECT month, number, closed_at, sha256, record
FROM closed_corrections
WHERE :from IS NULL OR month BETWEEN :from AND :to
ORDER BY month, number
