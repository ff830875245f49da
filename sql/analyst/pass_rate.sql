-- How many verifications passed, by day, product and region?
SELECT billing_date, product_code, region, count(*) AS verifications,
       round(avg(CASE WHEN passed THEN 1.0 ELSE 0.0 END), 4) AS pass_rate
FROM verifications_safe
GROUP BY billing_date, product_code, region
ORDER BY billing_date NULLS FIRST, product_code, region;
