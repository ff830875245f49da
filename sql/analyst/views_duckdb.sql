-- The views that the questions beside this file ask, for DuckDB. Run it in the data folder, which holds `archive/`.
-- It is the only file that differs between DuckDB and Spark SQL.
SET TimeZone = 'UTC';
-- Spark's name for it.
CREATE OR REPLACE MACRO explode(list) AS unnest(list);

-- Every verification. `billing_date` is the day; it is null where no source said when the verification was made.
CREATE OR REPLACE VIEW verifications AS
SELECT * EXCLUDE (billing_day)
FROM read_parquet('archive/verifications/billing_day=*/*.parquet', hive_partitioning = true)
UNION ALL BY NAME
-- This folder comes with the first undated record. Leave these two lines out until then.
SELECT * FROM read_parquet('archive/verifications_undated/*.parquet');

-- The same days by the folder's key, `billing_day`: a filter on it opens the files of those days only.
CREATE OR REPLACE VIEW verifications_by_day AS
SELECT * FROM read_parquet('archive/verifications/billing_day=*/*.parquet', hive_partitioning = true);

-- Without what says something about a person: no raw texts, addresses, tokens or ids of faces.
CREATE OR REPLACE VIEW verifications_safe AS
SELECT transaction_id, merchant_biz_id, product_code, region, verified_at, expires_at, fetched_at, request_id, passed,
       sub_code, billed, face_attack, face_registered, face_attack_score, guard_risk_score, face_comparison_score,
       parse_status, reply_sha256, run_id, billing_date, business_unit
FROM verifications;

-- A row for each similar face.
CREATE OR REPLACE VIEW duplicate_faces AS
SELECT transaction_id, billing_date, face.face_group_code, face.face_id, face.merchant_user_id, face.score
FROM (SELECT transaction_id, billing_date, explode(duplicate_faces) AS face FROM verifications);
