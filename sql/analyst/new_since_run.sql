-- What came after a run? Here after the first one. A run's id begins with its time.
SELECT run_id, count(*) AS verifications, min(billing_date) AS first_day, max(billing_date) AS last_day
FROM verifications_safe
WHERE run_id > (SELECT min(run_id) FROM verifications_safe)
GROUP BY run_id
ORDER BY run_id;
