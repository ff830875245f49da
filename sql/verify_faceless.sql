-- Verifications whose face is in no file of face_images.
SELECT transaction_id FROM temp.seen JOIN transactions USING (number)
WHERE face_image_sha256 IS NOT NULL AND face_file IS NULL
ORDER BY number
