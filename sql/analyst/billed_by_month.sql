-- How many verifications of each month are billed, as known when they were archived? The sums are those of billing.csv.
SELECT CAST(date_trunc('MONTH', billing_date) AS DATE) AS month, product_code, region, sub_code, billed,
       count(*) AS verifications
FROM verifications_safe
GROUP BY 1, 2, 3, 4, 5
ORDER BY 1 NULLS FIRST, 2, 3, 4;
