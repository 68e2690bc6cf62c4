"""Appends rows to a Delta table without opening it.

Opening a table reads its whole log, which is slow with ten thousand unmerged commits. An append does not depend on the
log: the protocol requires a Parquet file and a log file with the next version number, which belongs to the process that
creates that log file first.
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
"""The largest accepted version. Delta allows twice that; no table has so many."""
_VERSION = re.compile(r"\d{20}\.(json|checkpoint(\..*)?\.parquet)", re.ASCII)
"""The files of a log; other files, such as backups, may be beside them."""


def latest_version(files: Files, table: str) -> int | None:
    """The latest version of the table in a folder, from the names in its log; None if there is no table.

    Raises OSError for an impossible version. Cost: a listing, some milliseconds for ten thousand commits.
    """
    numbers = [int(name[:20]) for name in files.list(f"{table}/_delta_log") if _VERSION.fullmatch(name)]
    if numbers and max(numbers) > MAX_VERSION:
        raise OSError(f"its log has an impossible version {max(numbers)}")
    return max(numbers) if numbers else None


def append_rows(files: Files, table: str, rows: pa.Table, after: int) -> int:
    """Append rows with the schema of the table after an existing version; returns the new version.

    Safe while other processes append, merge or replace, because a blind append conflicts with none of these. If this
    process is killed, all rows are added or none. Raises DiskFull, LakeNotWritable.
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
