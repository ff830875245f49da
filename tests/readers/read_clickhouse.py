"""ClickHouse, in the process: the folder's key by its hive partitioning."""

import json

import chdb
from common import DAY, dated, say, undated

SETTINGS = "SETTINGS use_hive_partitioning = 1, session_timezone = 'UTC', schema_inference_make_columns_nullable = 'auto'"


def rows(sql):
    text = str(chdb.query(f"{sql} {SETTINGS}", "JSONCompactEachRow"))
    return [tuple(json.loads(line)) for line in text.splitlines()]


def file(path):
    return f"file('{path}', 'Parquet')"


TYPES = {"String": "string", "Bool": "boolean", "DateTime64(6, 'UTC')": "timestamp", "Date32": "date", "Date": "date",
         "Int16": "int16", "Int64": "int64", "Float64": "double"}


def types(path):
    found = {}
    for name, kind, *_ in rows(f"DESCRIBE TABLE {file(path)}"):
        plain = kind.replace("LowCardinality(", "").replace("Nullable(", "").rstrip(")") if kind.startswith(("Nullable", "LowC")) else kind
        plain = plain + ")" if plain.startswith("DateTime64") and not plain.endswith(")") else plain
        found[name] = "faces" if kind.startswith("Array(Tuple(") or "Tuple(" in kind else TYPES.get(plain, kind)
    return found


columns = "billing_date, product_code, region, sub_code"
both = " UNION ALL ".join(f"SELECT {columns}, verified_at, duplicate_faces FROM {file(path)}" for path in (dated(), undated()))
count = lambda path: int(rows(f"SELECT count() FROM {file(path)}")[0][0])
one_day = f"{file(dated())} WHERE billing_day = '{DAY}'"
faces = rows(f"SELECT count(), round(sum(face.score), 6) FROM (SELECT arrayJoin(duplicate_faces) AS face FROM ({both}))")[0]
times = rows(f"SELECT toUnixTimestamp64Micro(min(verified_at)), toUnixTimestamp64Micro(max(verified_at)) FROM ({both})")[0]
say(
    version=chdb.__version__,
    types=types(dated()),
    undated_types=types(undated()),
    rows={"verifications_dated": count(dated()), "verifications_undated": count(undated()),
          "face_images_dated": count(dated("face_images")), "face_images_undated": count(undated("face_images"))},
    tallies=rows(f"SELECT {columns}, count() FROM ({both}) GROUP BY {columns}"),
    day_rows=int(rows(f"SELECT count() FROM {one_day} AND billing_date = '{DAY}'")[0][0]),
    day_files=len(rows(f"SELECT DISTINCT _path FROM {one_day}")),
    faces=[int(faces[0]), faces[1]],
    times=[int(time) for time in times],
    image_bytes=int(rows(f"SELECT sum(length(image)) FROM {file(dated('face_images'))}")[0][0]),
)
