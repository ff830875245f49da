"""pandas: plain `read_parquet` of a folder, as a notebook has it. The folder's key is a category there."""

import pandas as pd
from common import ARCHIVE, DAY, ONLY_THE_DAY, say


def read_dated(dataset="verifications", **options):
    return pd.read_parquet(ARCHIVE / dataset, **options)


def read_undated(dataset="verifications"):
    return pd.read_parquet(ARCHIVE / f"{dataset}_undated")


TYPES = {"string": "string", "bool": "boolean", "date32[day]": "date", "int16": "int16", "int64": "int64",
         "double": "double", "binary": "binary", "timestamp[us, tz=UTC]": "timestamp"}


def types(folder):
    # What pandas makes of a type depends on its nulls; its arrow types say what it read.
    frame = pd.read_parquet(folder, dtype_backend="pyarrow")
    faces = "list<element: struct<face_group_code: string, face_id: string, merchant_user_id: string, score: double>"
    name = lambda kind: "faces" if kind.startswith(faces) else TYPES.get(kind, kind)
    found = {}
    for column, kind in frame.dtypes.items():
        text = str(getattr(kind, "pyarrow_dtype", kind))
        found[column] = "date" if column == "billing_day" else name(text)
    return found


one_day = read_dated(filters=[("billing_day", "==", DAY)])
day_rows = int((one_day["billing_date"].astype(str) == DAY).sum())
if ONLY_THE_DAY:
    say([], day_rows=day_rows)
    raise SystemExit
dated, undated = read_dated(), read_undated()
assert list(dated["billing_day"].astype(str)) == list(dated["billing_date"].astype(str)), "the folder's key"
both = pd.concat([dated.drop(columns="billing_day"), undated])
keys = ["billing_date", "product_code", "region", "sub_code"]
tallies = both.groupby(keys, dropna=False).size().reset_index()
faces = both["duplicate_faces"].dropna().explode().dropna()
scores = [face["score"] for face in faces if face["score"] is not None]
epoch = lambda time: int(time.value // 1_000)
say(
    version=pd.__version__,
    types=types(ARCHIVE / "verifications"),
    undated_types=types(ARCHIVE / "verifications_undated"),
    rows={
        "verifications_dated": len(dated),
        "verifications_undated": len(undated),
        "face_images_dated": len(read_dated("face_images")),
        "face_images_undated": len(read_undated("face_images")),
    },
    tallies=[(None if pd.isna(day) else day, *rest) for day, *rest in tallies.itertuples(index=False)],
    day_rows=day_rows,
    day_files=None,
    faces=[len(faces), round(sum(scores), 6)],
    times=[epoch(both["verified_at"].min()), epoch(both["verified_at"].max())],
    image_bytes=int(read_dated("face_images")["image"].map(len).sum()),
)
