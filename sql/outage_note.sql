-- The run ended while nobody answered about this product in this region.
INSERT OR IGNORE INTO regional_outages (product_code, region, run_number) VALUES (:product_code, :region, :run_number)
