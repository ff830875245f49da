"""DataFusion: a folder with its key as a date."""

import datafusion
import pyarrow as pa
from common import ARCHIVE, DAY, say

# Its Python package took only texts and numbers as keys then.
OLD = int(datafusion.__version__.split(".")[0]) < 47
config = datafusion.SessionConfig()
if not OLD:
    # With it, version 55 skips a file now and then: a least and a greatest value in one query are then wrong.
    config = config.set("datafusion.optimizer.enable_aggregate_dynamic_filter_pushdown", "false")
context = datafusion.SessionContext(config)
for dataset in ("verifications", "face_images"):
    key = [("billing_day", "string" if OLD else pa.date32())]
    context.register_parquet(f"{dataset}_dated", str(ARCHIVE / dataset), table_partition_cols=key, file_extension=".parquet")
    context.register_parquet(f"{dataset}_undated", str(ARCHIVE / f"{dataset}_undated"))


def rows(sql):
    batches = context.sql(sql).collect()
    return [tuple(row.values()) for batch in batches for row in batch.to_pylist()]


TYPES = {"string": "string", "string_view": "string", "bool": "boolean", "timestamp[us, tz=UTC]": "timestamp",
         "date32[day]": "date", "int16": "int16", "int64": "int64", "double": "double", "binary": "binary",
         "binary_view": "binary"}


def types(table):
    name = lambda kind: "faces" if kind.startswith("list<element: struct<face_group_code: string") else TYPES.get(kind, kind)
    return {field.name: name(str(field.type)) for field in context.sql(f"SELECT * FROM {table}").schema()}


columns = "billing_date, product_code, region, sub_code"
both = " UNION ALL ".join(
    f"SELECT {columns}, verified_at, duplicate_faces FROM verifications_{kind}" for kind in ("dated", "undated"))
count = lambda table: rows(f"SELECT count(*) AS n FROM {table}")[0][0]
one_day = f"verifications_dated WHERE billing_day = {'' if OLD else 'DATE '}'{DAY}'"
faces = [face for (faces,) in rows(f"SELECT duplicate_faces FROM ({both})") for face in faces or []]
epoch = lambda time: round(time.timestamp() * 1_000_000)
times = rows(f"SELECT min(verified_at) AS first, max(verified_at) AS last FROM ({both})")[0]
say(
    version=datafusion.__version__,
    # The key is a text there because it was registered as one.
    types={**types("verifications_dated"), **({"billing_day": "date"} if OLD else {})},
    undated_types=types("verifications_undated"),
    rows={name: count(name) for name in
          ("verifications_dated", "verifications_undated", "face_images_dated", "face_images_undated")},
    tallies=rows(f"SELECT {columns}, count(*) AS n FROM ({both}) GROUP BY {columns}"),
    day_rows=count(f"{one_day} AND billing_date = DATE '{DAY}'"),
    day_files=str(context.sql(f"SELECT passed FROM {one_day}").execution_plan()).count(".parquet"),
    faces=[len(faces), round(sum(face["score"] or 0 for face in faces), 6)],
    times=[epoch(time) for time in times],
    image_bytes=sum(len(image) for (image,) in rows("SELECT image FROM face_images_dated")),
)
