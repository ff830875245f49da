-- Do the rows keep their rules? Each count but the first should be 0.
SELECT count(*) AS verifications,
       count(*) - count(DISTINCT transaction_id) AS twice,
       sum(CASE WHEN fetched_at < verified_at THEN 1 ELSE 0 END) AS fetched_before_made,
       sum(CASE WHEN (verified_at IS NULL) <> (billing_date IS NULL) THEN 1 ELSE 0 END) AS day_without_time,
       sum(CASE WHEN face_attack_score NOT BETWEEN 0 AND 100 THEN 1 ELSE 0 END) AS score_out_of_range,
       sum(CASE WHEN length(reply_sha256) <> 64 THEN 1 ELSE 0 END) AS bad_hash
FROM verifications_safe;
