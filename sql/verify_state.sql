SELECT state FROM transactions WHERE transaction_id = :transaction_id
