-- How often was each of the company's ids verified, and did it pass in the end?
SELECT verifications, count(*) AS customers, sum(passed_once) AS passed
FROM (
    SELECT merchant_biz_id, count(*) AS verifications, max(CASE WHEN passed THEN 1 ELSE 0 END) AS passed_once
    FROM verifications_safe
    GROUP BY merchant_biz_id
) AS by_customer
GROUP BY verifications
ORDER BY verifications;
