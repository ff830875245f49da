SELECT file, face_image_sha256, face_file FROM temp.seen WHERE number = :number
