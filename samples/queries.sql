-- First questions to the archive, for DuckDB: duckdb -init samples/queries.sql, or one by one.
-- Paths are relative to the folder that holds idvault-data. The archive is only read.

-- All verifications, one row per final verdict. billing_day is the vendor's day (UTC+8), read from the folders' names,
-- null where the time is unknown.
CREATE OR REPLACE TEMP VIEW verifications AS
SELECT *
FROM read_parquet('idvault-data/archive/verifications/*/*.parquet', hive_partitioning = true);

-- How many, since when, until when, and that no id is there twice.
SELECT count(*) AS verifications,
       count(DISTINCT transaction_id) AS ids,
       min(verified_at) AS earliest,
       max(verified_at) AS latest,
       count(*) FILTER (verified_at IS NULL) AS of_unknown_age
FROM verifications;

-- Verifications by day and sub code. A sub code belongs to its product: the same number means something else elsewhere.
SELECT billing_day, product_code, sub_code, count(*) AS verifications
FROM verifications
GROUP BY ALL
ORDER BY ALL;

-- The share that passed, by product.
SELECT product_code,
       count(*) AS verifications,
       count(*) FILTER (passed) AS passed,
       round(100.0 * count(*) FILTER (passed) / count(*), 1) AS passed_percent
FROM verifications
GROUP BY product_code
ORDER BY verifications DESC;

-- Attack scores (0 to 100) of the last 30 days in the archive, in steps of ten, and what was taken for an attack.
SELECT 10 * least(floor(face_attack_score / 10), 9)::INTEGER AS score_from,
       count(*) AS verifications,
       count(*) FILTER (face_attack) AS attacks,
       count(*) FILTER (NOT passed) AS not_passed
FROM verifications
WHERE face_attack_score IS NOT NULL
  AND verified_at >= (SELECT max(verified_at) FROM verifications) - INTERVAL 30 DAY
GROUP BY score_from
ORDER BY score_from;

-- Replies of which something could not be read: the vendor's own text is in the ext_ columns.
SELECT transaction_id, product_code, sub_code, parse_status, ext_face_info
FROM verifications
WHERE parse_status <> 'ok'
ORDER BY verified_at, transaction_id;

-- Similar faces that the vendor found, one row for each.
SELECT transaction_id, verified_at, face.face_group_code, face.face_id, face.merchant_user_id, face.score
FROM (SELECT transaction_id, verified_at, unnest(duplicate_faces) AS face FROM verifications)
ORDER BY face.score DESC, transaction_id;

-- A day as finance sees it, to be laid beside billing.csv. billed is what the table of sub codes said when the record was
-- archived, null where it does not know the sub code.
SELECT billing_day, product_code, region, sub_code,
       CASE WHEN billed THEN 'yes' WHEN NOT billed THEN 'no' ELSE 'unknown' END AS billed,
       count(*) AS verifications
FROM verifications
GROUP BY ALL
ORDER BY ALL;

-- The same in months.
SELECT strftime(billing_day, '%Y-%m') AS month, product_code,
       count(*) FILTER (billed) AS billed,
       count(*) FILTER (NOT billed) AS not_billed,
       count(*) FILTER (billed IS NULL) AS unknown
FROM verifications
GROUP BY ALL
ORDER BY ALL;

-- How old records were when they were fetched: whoever comes near 30 days runs too seldom.
SELECT date_diff('day', verified_at, fetched_at) AS days, count(*) AS verifications
FROM verifications
WHERE verified_at IS NOT NULL
GROUP BY days
ORDER BY days;
