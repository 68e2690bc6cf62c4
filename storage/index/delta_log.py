"""Appends rows to a Delta table without opening it.

Opening a table reads everything that its log names, which takes longest of all when ten thousand commits have not been
merged. Appended rows depend on none of it: the protocol asks for a Parquet file and for a line in the log under the
next number, which belongs to the process that creates that file first.
"""

from __future__ import annotations

import json
import re
import time
import uuid
from typing import TYPE_CHECKING

from editflow.storage.files import Files

if TYPE_CHECKING:
    import pyarrow as pa

MAX_VERSION = 2**62
"""The last version that is taken for one: Delta's are below twice that, and no table has so many."""
_VERSION = re.compile(r"\d{20}\.(json|checkpoint(\..*)?\.parquet)", re.ASCII)
"""Files of a log that are versions; other files, such as copies, may lie beside them."""


def latest_version(files: Files, table: str) -> int | None:
    """The version of the table in a folder, by the names of its log; None where there is no table.

    Raises OSError for a number that is no version. Cost: a listing, some milliseconds for ten thousand commits.
    """
    numbers = [int(name[:20]) for name in files.list(f"{table}/_delta_log") if _VERSION.fullmatch(name)]
    if numbers and max(numbers) > MAX_VERSION:
        raise OSError(f"its log has a version {max(numbers)}, which is none")
    return max(numbers) if numbers else None


def append_rows(files: Files, table: str, rows: pa.Table, after: int) -> int:
    """Add rows of the table's own schema, after a version that is there; the new version.

    Safe beside others that write, merge or replace: what they do is judged by what came before. Killed at any moment,
    it leaves all rows or none. Raises DiskFull, LakeNotWritable.
    """
    name = f"part-00000-{uuid.uuid4()}-c000.zstd.parquet"
    size, _ = files.write_parquet(f"{table}/{name}", rows)
    now = int(1000 * time.time())
    stats = json.dumps({"numRecords": rows.num_rows})
    add = {"path": name, "partitionValues": {}, "size": size, "modificationTime": now, "dataChange": True,
           "stats": stats}  # fmt: skip
    info = {"timestamp": now, "operation": "WRITE", "operationParameters": {"mode": "Append"}, "isBlindAppend": True}
    lines = "".join(f"{json.dumps(entry)}\n" for entry in ({"commitInfo": info}, {"add": add})).encode()
    while True:
        after += 1
        try:
            files.create(f"{table}/_delta_log/{after:020d}.json", lines)
        except FileExistsError:
            continue
        return after
