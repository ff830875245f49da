-- Whether the archive has an id.
SELECT state = 'archived' FROM transaction_states WHERE transaction_id = :transaction_id
