"""Asks every question of sql/analyst on Spark SQL. It runs in the data folder."""

import sys
from pathlib import Path

from pyspark.sql import SparkSession
from questions import print_answers

folder = Path(sys.argv[1])
spark = (
    SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").config("spark.sql.shuffle.partitions", "1")
    .config("spark.driver.bindAddress", "127.0.0.1").config("spark.driver.host", "127.0.0.1").getOrCreate()
)
spark.sparkContext.setLogLevel("ERROR")
views = "\n".join(line for line in (folder / "views_spark.sql").read_text().splitlines() if not line.startswith("--"))
for statement in filter(str.strip, views.split(";")):
    spark.sql(statement)
print_answers(folder, lambda sql: [tuple(row) for row in spark.sql(sql.rstrip().rstrip(";")).collect()])
