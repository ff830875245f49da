-- Which faces belong to several people of the company? A similar face is registered under one user, and the verification
-- that met it was made for another.
SELECT face_id, count(DISTINCT person) AS people, max(score) AS highest_score
FROM (
    SELECT face_id, merchant_user_id AS person, score FROM duplicate_faces
    UNION ALL
    SELECT face_id, merchant_biz_id AS person, score
    FROM duplicate_faces JOIN verifications_safe USING (transaction_id)
) AS people
GROUP BY face_id
HAVING count(DISTINCT person) > 1
ORDER BY people DESC, face_id;
