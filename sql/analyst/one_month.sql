-- What did November 2026 bring? The folder's key opens the files of that month only.
SELECT product_code, count(*) AS verifications, sum(CASE WHEN passed THEN 1 ELSE 0 END) AS passed
FROM verifications_by_day
WHERE billing_day BETWEEN DATE '2026-11-01' AND DATE '2026-11-30'
GROUP BY product_code
ORDER BY product_code;
