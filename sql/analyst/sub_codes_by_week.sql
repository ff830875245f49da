-- Which sub codes did each week bring? A week is named by its Monday.
SELECT CAST(date_trunc('WEEK', billing_date) AS DATE) AS week, product_code, sub_code, count(*) AS verifications
FROM verifications_safe
WHERE billing_date IS NOT NULL
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3;
