"""What every reader of the archive has to say. `run` compares it.

A reader gets the archive's folder and a day. It prints JSON: the types of the columns, the rows of each dataset, the
tallies, what a query of that day sees, the flattened duplicate faces, and the times as microseconds.
"""

import json
import sys
from pathlib import Path

ARCHIVE = Path(sys.argv[1])
DAY = sys.argv[2]
# Every other day is spoiled then.
ONLY_THE_DAY = "--day" in sys.argv[3:]


def dated(dataset="verifications"):
    """The documented glob. A shorter one also matches the files of a table's log."""
    return str(ARCHIVE / dataset / "billing_day=*/*.parquet")


def undated(dataset="verifications"):
    return str(ARCHIVE / f"{dataset}_undated" / "*.parquet")


def say(tallies, **said):
    """Prints what was read. A tally is a day or None, a product, a region, a sub code and a count."""
    rows = [["" if day is None else str(day)[:10], *map(str, rest[:3]), int(rest[3])] for day, *rest in tallies]
    print(json.dumps({"tallies": sorted(rows), **said}))
