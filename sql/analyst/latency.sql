-- How many whole days passed from a verification to its archive?
SELECT billing_date, min(extract(DAY FROM fetched_at - verified_at)) AS least_days,
       max(extract(DAY FROM fetched_at - verified_at)) AS most_days, count(*) AS verifications
FROM verifications_safe
WHERE verified_at IS NOT NULL
GROUP BY billing_date
ORDER BY billing_date;
