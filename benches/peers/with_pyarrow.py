"""The rows of an archive, written once more by pyarrow's own writer with the same codec and row groups.

    python3 with_pyarrow.py ARCHIVE_FOLDER OUTPUT.parquet

Prints rows, seconds and bytes. Reading is not counted; the rows lie in memory as columns when the clock starts.
"""

import os
import sys
import time

import pyarrow.dataset as dataset
import pyarrow.parquet as parquet

folder, output = sys.argv[1:]
files = dataset.dataset(folder, format="parquet").files
seconds = rows = written = 0
for file in files:
    table = parquet.read_table(file, partitioning=None)
    started = time.perf_counter()
    parquet.write_table(table, output, compression="zstd", compression_level=1, row_group_size=128 * 1024)
    seconds += time.perf_counter() - started
    rows += table.num_rows
    written += os.path.getsize(output)
print(rows, seconds, written)
