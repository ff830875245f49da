-- The tallies of a file that replaces others: theirs, added up.
INSERT INTO tallies (path, product_code, region, sub_code, verifications)
SELECT files.replaced_by, product_code, region, sub_code, sum(verifications)
FROM tallies
JOIN files USING (path)
WHERE files.replaced_by = :path
GROUP BY product_code, region, sub_code
