INSERT OR IGNORE INTO temp.seen (transaction_id) VALUES (:transaction_id)
