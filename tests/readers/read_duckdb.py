"""DuckDB: the folder's key as a DATE, one view over both datasets."""

import re

import duckdb
from common import DAY, ONLY_THE_DAY, dated, say, undated

db = duckdb.connect()
db.execute("SET TimeZone = 'UTC'")
for dataset in ("verifications", "face_images"):
    db.execute(f"CREATE VIEW {dataset}_dated AS FROM read_parquet('{dated(dataset)}', hive_partitioning = true)")
    db.execute(f"CREATE VIEW {dataset}_undated AS FROM read_parquet('{undated(dataset)}')")
db.execute("CREATE VIEW verifications AS FROM verifications_dated UNION ALL BY NAME FROM verifications_undated")


def rows(sql):
    return db.execute(sql).fetchall()


TYPES = {
    "VARCHAR": "string", "BOOLEAN": "boolean", "TIMESTAMP WITH TIME ZONE": "timestamp", "DATE": "date",
    "SMALLINT": "int16", "BIGINT": "int64", "DOUBLE": "double", "BLOB": "binary",
}


def types(view):
    found = {name: kind for name, kind, *_ in rows(f"DESCRIBE {view}")}
    faces = "STRUCT(face_group_code VARCHAR, face_id VARCHAR, merchant_user_id VARCHAR, score DOUBLE)[]"
    return {name: "faces" if kind == faces else TYPES.get(kind, kind) for name, kind in found.items()}


one_day = f"FROM verifications_dated WHERE billing_day = DATE '{DAY}'"
plan = "\n".join(text for _, text in rows(f"EXPLAIN SELECT count(passed) {one_day}"))
scanned = re.search(r"Scanning Files:\s*(\d+)/(\d+)", plan)
day_rows = rows(f"SELECT count(*) {one_day} AND billing_date = billing_day")[0][0]
if ONLY_THE_DAY:
    say([], day_rows=day_rows)
    raise SystemExit
say(
    version=duckdb.__version__,
    types=types("verifications_dated"),
    undated_types=types("verifications_undated"),
    rows={name: rows(f"SELECT count(*) FROM {name}")[0][0] for name in
          ("verifications_dated", "verifications_undated", "face_images_dated", "face_images_undated")},
    tallies=rows("SELECT billing_date, product_code, region, sub_code, count(*) FROM verifications GROUP BY ALL"),
    day_rows=day_rows,
    # Where the plan does not say it, `run` spoils the other days instead.
    day_files=scanned and int(scanned[1]),
    faces=list(rows("SELECT count(*), round(sum(f.score), 6) FROM (SELECT unnest(duplicate_faces) AS f FROM verifications)")[0]),
    times=list(rows("SELECT epoch_us(min(verified_at)), epoch_us(max(verified_at)) FROM verifications")[0]),
    image_bytes=rows("SELECT sum(octet_length(image)) FROM face_images_dated")[0][0],
)
