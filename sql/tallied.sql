-- All tallies by product, region and sub code.
SELECT product_code, region, sub_code, sum(verifications) FROM tallies GROUP BY product_code, region, sub_code
