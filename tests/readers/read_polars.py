"""Polars: lazy scans with the folder's key."""

import polars as pl
from common import DAY, ONLY_THE_DAY, dated, say, undated


def scan_dated(dataset="verifications"):
    return pl.scan_parquet(dated(dataset), hive_partitioning=True)


def scan_undated(dataset="verifications"):
    return pl.scan_parquet(undated(dataset))


FACES = {"face_group_code": pl.String, "face_id": pl.String, "merchant_user_id": pl.String, "score": pl.Float64}
TYPES = {
    pl.String: "string", pl.Boolean: "boolean", pl.Datetime("us", "UTC"): "timestamp", pl.Date: "date",
    pl.Int16: "int16", pl.Int64: "int64", pl.Float64: "double", pl.Binary: "binary", pl.List(pl.Struct(FACES)): "faces",
}


def types(scan):
    return {name: TYPES.get(kind, str(kind)) for name, kind in scan.collect_schema().items()}


def count(scan):
    return scan.select(pl.len()).collect().item()


both = pl.concat([scan_dated().drop("billing_day"), scan_undated()])
one_day = scan_dated().filter(pl.col("billing_day") == pl.lit(DAY).str.to_date())
day_rows = count(one_day.filter(pl.col("billing_date") == pl.col("billing_day")))
if ONLY_THE_DAY:
    say([], day_rows=day_rows)
    raise SystemExit
faces = both.select("duplicate_faces").explode("duplicate_faces").unnest("duplicate_faces").drop_nulls("face_id")
faces = faces.select(pl.len().alias("faces"), pl.col("score").sum().round(6)).collect()
times = both.select(
    pl.col("verified_at").min().dt.epoch("us").alias("first"), pl.col("verified_at").max().dt.epoch("us").alias("last")
).collect()
say(
    version=pl.__version__,
    types=types(scan_dated()),
    undated_types=types(scan_undated()),
    rows={
        "verifications_dated": count(scan_dated()),
        "verifications_undated": count(scan_undated()),
        "face_images_dated": count(scan_dated("face_images")),
        "face_images_undated": count(scan_undated("face_images")),
    },
    tallies=both.group_by("billing_date", "product_code", "region", "sub_code").len().collect().rows(),
    day_rows=day_rows,
    # Its plan does not say which files are left: `run` spoils the others instead.
    day_files=None,
    faces=list(faces.row(0)),
    times=list(times.row(0)),
    image_bytes=scan_dated("face_images").select(pl.col("image").bin.size().sum()).collect().item(),
)
