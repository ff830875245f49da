"""The rows of an archive, written once more by pyarrow's own writer with the same codec and row groups.

    python3 with_pyarrow.py ARCHIVE_FOLDER OUTPUT.parquet

Prints rows, seconds, seconds of CPU and bytes. Reading is not counted; the rows lie in memory as columns when the clock starts.
"""

import os
import sys
import time

import pyarrow.dataset as dataset
import pyarrow.parquet as parquet

folder, output = sys.argv[1:]
files = dataset.dataset(folder, format="parquet").files
seconds = cpu = rows = written = 0
for file in files:
    table = parquet.read_table(file, partitioning=None)
    started, cpu_before = time.perf_counter(), time.process_time()
    parquet.write_table(table, output, compression="zstd", compression_level=1, row_group_size=128 * 1024)
    seconds += time.perf_counter() - started
    cpu += time.process_time() - cpu_before
    rows += table.num_rows
    written += os.path.getsize(output)
print(rows, seconds, cpu, written)
