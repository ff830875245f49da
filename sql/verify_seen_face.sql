UPDATE temp.seen SET face_file = :file WHERE number = :number
