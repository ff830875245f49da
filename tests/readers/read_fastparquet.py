"""fastparquet: file by file. It knows no list of structs, so that column is left out."""

import glob

import fastparquet
import pandas as pd
from common import DAY, dated, say, undated

COLUMNS = ["billing_date", "product_code", "region", "sub_code", "verified_at", "request_id", "reply_sha256", "passed"]


def read(pattern, columns):
    frames = [fastparquet.ParquetFile(path).to_pandas(columns=columns) for path in sorted(glob.glob(pattern))]
    return pd.concat(frames)


both = pd.concat([read(dated(), COLUMNS), read(undated(), COLUMNS)])
assert both["reply_sha256"].str.len().eq(64).all(), "the hashes are whole"
day = pd.to_datetime(both["billing_date"]).dt.strftime("%Y-%m-%d")
tallies = both.assign(billing_date=day).groupby(COLUMNS[:4], dropna=False).size().reset_index()
one_day = read(dated().replace("billing_day=*", f"billing_day={DAY}"), ["billing_date"])
micros = lambda time: int(time.value // 1_000)
count = lambda pattern: sum(fastparquet.ParquetFile(path).count() for path in glob.glob(pattern))
say(
    version=fastparquet.__version__,
    rows={"verifications_dated": count(dated()), "verifications_undated": count(undated()),
          "face_images_dated": count(dated("face_images")), "face_images_undated": count(undated("face_images"))},
    tallies=[(None if pd.isna(when) else when, *rest) for when, *rest in tallies.itertuples(index=False)],
    day_rows=int((pd.to_datetime(one_day["billing_date"]).dt.strftime("%Y-%m-%d") == DAY).sum()),
    times=[micros(both["verified_at"].min()), micros(both["verified_at"].max())],
    day_files=len(glob.glob(dated().replace("billing_day=*", f"billing_day={DAY}"))),
    image_bytes=int(read(dated("face_images"), ["image"])["image"].map(len).sum()),
)
