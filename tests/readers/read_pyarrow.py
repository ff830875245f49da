"""pyarrow: a dataset with the folder's key as a date."""

import datetime

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from common import ARCHIVE, DAY, say

KEY = ds.partitioning(pa.schema([("billing_day", pa.date32())]), flavor="hive")


def read_dated(dataset="verifications"):
    return ds.dataset(ARCHIVE / dataset, format="parquet", partitioning=KEY)


def read_undated(dataset="verifications"):
    return ds.dataset(ARCHIVE / f"{dataset}_undated", format="parquet")


TYPES = {
    pa.string(): "string", pa.bool_(): "boolean", pa.timestamp("us", "UTC"): "timestamp", pa.date32(): "date",
    pa.int16(): "int16", pa.int64(): "int64", pa.float64(): "double", pa.binary(): "binary",
}


def types(dataset):
    faces = "list<element: struct<face_group_code: string, face_id: string, merchant_user_id: string, score: double>"
    name = lambda kind: "faces" if str(kind).startswith(faces) else TYPES.get(kind, str(kind))
    return {field.name: name(field.type) for field in dataset.schema}


keys = ["billing_date", "product_code", "region", "sub_code"]
columns = [*keys, "verified_at", "duplicate_faces"]
both = pa.concat_tables([read_dated().to_table(columns), read_undated().to_table(columns)])
tallies = both.select(keys).group_by(keys).aggregate([([], "count_all")]).select([*keys, "count_all"])
day = datetime.date.fromisoformat(DAY)
one_day = (ds.field("billing_day") == day)
faces = pc.list_flatten(both["duplicate_faces"].combine_chunks())
scores = pc.struct_field(faces, "score")
epoch = lambda time: pc.cast(time, pa.int64()).as_py()
images = read_dated("face_images").to_table(["image"])["image"]
say(
    version=pa.__version__,
    types=types(read_dated()),
    undated_types=types(read_undated()),
    rows={
        "verifications_dated": read_dated().count_rows(),
        "verifications_undated": read_undated().count_rows(),
        "face_images_dated": read_dated("face_images").count_rows(),
        "face_images_undated": read_undated("face_images").count_rows(),
    },
    tallies=[tuple(row.values()) for row in tallies.to_pylist()],
    day_rows=read_dated().count_rows(filter=one_day & (ds.field("billing_date") == day)),
    day_files=len(list(read_dated().get_fragments(filter=one_day))),
    faces=[len(faces), round(pc.sum(scores).as_py(), 6)],
    times=[epoch(pc.min_max(both["verified_at"])["min"]), epoch(pc.min_max(both["verified_at"])["max"])],
    image_bytes=pc.sum(pc.binary_length(images)).as_py(),
)
