INSERT OR IGNORE INTO temp.seen (number, file, face_image_sha256) VALUES (:number, :file, :face_image_sha256)
