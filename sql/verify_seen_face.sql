UPDATE temp.seen SET face_file = :file WHERE transaction_id = :transaction_id
