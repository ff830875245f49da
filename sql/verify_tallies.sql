-- What a file's verifications were tallied as.
SELECT product_code, region, sub_code, verifications FROM tallies WHERE path = :path
