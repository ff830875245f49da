-- Verifications by billing day, product, region and sub code: the tallies of the published files.
-- :from and :to are billing days, both included, and null for all; unknown days (null) are always in it.
SELECT f.billing_day, t.product_code, t.region, t.sub_code, sum(t.verifications)
FROM files AS f
JOIN tallies AS t ON t.path = f.path
WHERE f.state = 'published'
  AND f.dataset = 'verifications'
  AND (f.billing_day IS NULL OR :from IS NULL OR f.billing_day BETWEEN :from AND :to)
GROUP BY f.billing_day, t.product_code, t.region, t.sub_code
ORDER BY f.billing_day IS NULL, f.billing_day, t.product_code, t.region, t.sub_code
