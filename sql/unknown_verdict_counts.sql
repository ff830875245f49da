-- Transactions whose last reply has a verdict that is none: by product, region and what stands in its place, the commonest first.
SELECT own.product_code, own.region, kept.passed, count(*)
FROM unknown_verdicts AS kept
CROSS JOIN transactions AS own USING (number)
WHERE own.state = 'pending'
GROUP BY own.product_code, own.region, kept.passed
ORDER BY count(*) DESC, own.product_code, own.region, kept.passed
