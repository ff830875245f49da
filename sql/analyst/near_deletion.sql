-- How close to its deletion by the vendor was each record archived? Days that were left.
SELECT extract(DAY FROM expires_at - fetched_at) AS days_left, count(*) AS verifications
FROM verifications_safe
WHERE expires_at IS NOT NULL
GROUP BY 1
ORDER BY 1;
