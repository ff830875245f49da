-- The product, region and sub code of every archived id; they are counted outside, as SQLite would sort them for it.
SELECT product_code, region, sub_code
FROM transaction_states
WHERE state = 'archived'
