-- One made-up verification.
INSERT INTO pending (transaction_id, product_code, region, verified_at) VALUES (?1, ?2, ?3, ?4);
