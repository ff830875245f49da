-- The run ended while nobody answered about this product.
INSERT OR IGNORE INTO outages (product_code, run_number) VALUES (:product_code, :run_number)
