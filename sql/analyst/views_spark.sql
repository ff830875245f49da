-- The views that the questions beside this file ask, for Spark SQL. Run it in the data folder, which holds `archive/`.
-- It is the only file that differs between DuckDB and Spark SQL.
SET TIME ZONE 'UTC';

CREATE OR REPLACE TEMPORARY VIEW verifications_by_day USING parquet OPTIONS (path 'archive/verifications');

-- This folder comes with the first undated record. Leave it out until then.
CREATE OR REPLACE TEMPORARY VIEW undated USING parquet OPTIONS (path 'archive/verifications_undated');

-- Every verification. `billing_date` is the day; it is null where no source said when the verification was made.
CREATE OR REPLACE TEMPORARY VIEW verifications AS
SELECT transaction_id, merchant_biz_id, product_code, region, verified_at, expires_at, fetched_at, request_id, passed,
       sub_code, billed, face_attack, face_registered, face_attack_score, guard_risk_score, face_comparison_score, face_age,
       face_gender, face_registration_id, device_token, video_url, duplicate_faces, face_image_sha256, ext_face_info,
       ekyc_result, ext_basic_info, ext_id_info, ext_info, ext_risk_info, ext_source_info, parse_status, reply_sha256,
       run_id, billing_date, business_unit, video_sha256, video_bytes, video_encrypted_sha256
FROM verifications_by_day
UNION ALL
SELECT * FROM undated;

-- Without what says something about a person: no raw texts, addresses, tokens or ids of faces.
CREATE OR REPLACE TEMPORARY VIEW verifications_safe AS
SELECT transaction_id, merchant_biz_id, product_code, region, verified_at, expires_at, fetched_at, request_id, passed,
       sub_code, billed, face_attack, face_registered, face_attack_score, guard_risk_score, face_comparison_score,
       parse_status, reply_sha256, run_id, billing_date, business_unit
FROM verifications;

-- A row for each similar face.
CREATE OR REPLACE TEMPORARY VIEW duplicate_faces AS
SELECT transaction_id, billing_date, face.face_group_code, face.face_id, face.merchant_user_id, face.score
FROM (SELECT transaction_id, billing_date, explode(duplicate_faces) AS face FROM verifications);
