-- What a file's verifications were tallied as; of one that is about to be in the place of others, what theirs were.
SELECT product_code, region, sub_code, sum(verifications)
FROM tallies
WHERE path = :path OR path IN (SELECT path FROM files WHERE replaced_by = :path)
GROUP BY product_code, region, sub_code
