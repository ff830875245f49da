-- How many verifications met a similar face, and how similar was it?
SELECT billing_date, count(DISTINCT transaction_id) AS verifications, round(avg(score), 2) AS mean_score
FROM duplicate_faces
GROUP BY billing_date
ORDER BY billing_date NULLS FIRST;
