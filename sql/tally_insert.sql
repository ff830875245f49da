INSERT INTO tallies (path, product_code, region, sub_code, verifications)
VALUES (:path, :product_code, :region, :sub_code, :verifications)
