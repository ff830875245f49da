-- Closed months from :from to :to (YYYY-MM, both included, null for all), the earliest first.
SELECT month, closed_at, sha256, record
FROM closed_months
WHERE :from IS NULL OR month BETWEEN :from AND :to
ORDER BY month
