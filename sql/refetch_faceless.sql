-- Files of verifications with a face that no file of faces holds, by their number: and how many of their records the vendor
-- has deleted.
SELECT file, count(*) FILTER (WHERE coalesce(verified_at, first_seen_at) + 2592000000000 <= :now)
FROM temp.seen JOIN transactions USING (number)
GROUP BY file
HAVING count(*) FILTER (WHERE face_image_sha256 IS NOT NULL AND face_file IS NULL) > 0
ORDER BY file
