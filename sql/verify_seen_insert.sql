INSERT OR IGNORE INTO temp.seen (transaction_id, file, face_image_sha256)
VALUES (:transaction_id, :file, :face_image_sha256)
