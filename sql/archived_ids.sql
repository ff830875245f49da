-- Archived ids by product, region and sub code.
SELECT product_code, region, sub_code, count(*)
FROM standing
WHERE state = 'archived'
GROUP BY product_code, region, sub_code
