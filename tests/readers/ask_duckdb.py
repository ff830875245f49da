"""Asks every question of sql/analyst on DuckDB. It runs in the data folder."""

import sys
from pathlib import Path

import duckdb
from questions import print_answers

folder = Path(sys.argv[1])
db = duckdb.connect()
db.execute((folder / "views_duckdb.sql").read_text())
print_answers(folder, lambda sql: db.execute(sql).fetchall())
