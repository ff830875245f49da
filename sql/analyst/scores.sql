-- How are the scores of attack and risk distributed? In steps of ten.
SELECT product_code, CAST(floor(least(face_attack_score, 99.9) / 10) * 10 AS INT) AS attack_from,
       count(*) AS verifications, round(avg(guard_risk_score), 2) AS mean_risk
FROM verifications_safe
WHERE face_attack_score IS NOT NULL
GROUP BY 1, 2
ORDER BY 1, 2;
