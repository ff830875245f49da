"""Spark: a folder with its key, and its own vectorized reader."""

from common import ARCHIVE, DAY, say
import pyspark
from pyspark.sql import SparkSession, functions as f

spark = (
    SparkSession.builder.master("local[1]").config("spark.sql.session.timeZone", "UTC").config("spark.ui.enabled", "false")
    .config("spark.sql.shuffle.partitions", "1").config("spark.driver.bindAddress", "127.0.0.1")
    .config("spark.driver.host", "127.0.0.1").getOrCreate()
)
spark.sparkContext.setLogLevel("ERROR")


def read_dated(dataset="verifications"):
    return spark.read.parquet(str(ARCHIVE / dataset))


def read_undated(dataset="verifications"):
    return spark.read.parquet(str(ARCHIVE / f"{dataset}_undated"))


TYPES = {"string": "string", "boolean": "boolean", "timestamp": "timestamp", "date": "date", "smallint": "int16",
         "bigint": "int64", "double": "double", "binary": "binary",
         "array<struct<face_group_code:string,face_id:string,merchant_user_id:string,score:double>>": "faces"}


def types(frame):
    return {name: TYPES.get(kind, kind) for name, kind in frame.dtypes}


both = read_dated().drop("billing_day").unionByName(read_undated())
tallies = both.groupBy("billing_date", "product_code", "region", "sub_code").count().collect()
one_day = read_dated().where(f.col("billing_day") == f.lit(DAY).cast("date"))
faces = both.select(f.explode("duplicate_faces").alias("face"))
faces = faces.agg(f.count("*"), f.round(f.sum("face.score"), 6)).first()
times = both.agg(f.unix_micros(f.min("verified_at")), f.unix_micros(f.max("verified_at"))).first()
say(
    version=pyspark.__version__,
    types=types(read_dated()),
    undated_types=types(read_undated()),
    rows={
        "verifications_dated": read_dated().count(),
        "verifications_undated": read_undated().count(),
        "face_images_dated": read_dated("face_images").count(),
        "face_images_undated": read_undated("face_images").count(),
    },
    tallies=[tuple(row) for row in tallies],
    day_rows=one_day.where("billing_date = billing_day").count(),
    day_files=len(one_day.select(f.input_file_name()).distinct().collect()),
    faces=list(faces),
    times=list(times),
    image_bytes=read_dated("face_images").agg(f.sum(f.length("image"))).first()[0],
)
