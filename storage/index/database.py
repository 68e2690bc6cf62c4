"""The one place that opens DuckDB: in memory, of bounded size, without spilling to disk.

A small file of a lake may unpack to far more than a machine holds; its reader gets an error of DuckDB's, and
takes the file for damaged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType

import duckdb
import psutil  # type: ignore[import-untyped]

from editflow.storage.errors import StorageError, first_line

Settings = Mapping[str, str | bool | int | float | list[str]]
"""The settings of every database."""
UNREADABLE = (duckdb.IOException, duckdb.InvalidInputException)
"""DuckDB's errors of a file that is gone or not Parquet."""
_GROUP = Path("/sys/fs/cgroup/memory.max")
"""The memory limit of a container."""


def memory_limit() -> int:
    """Bytes that reading an index may take: half of the machine's memory, or the container's; at least 1 GiB."""
    total = int(psutil.virtual_memory().total)
    with suppress(OSError, ValueError):
        total = min(total, int(_GROUP.read_text()))
    return max(total // 2, 2**30)


def open_database(settings: Settings = MappingProxyType({})) -> duckdb.DuckDBPyConnection:
    """An empty database; SQL names no Python variables and nothing spills to disk."""
    ours = {
        "python_enable_replacements": "false",
        "temp_directory": "",
        "memory_limit": f"{memory_limit() // 2**20}MiB",
    }
    return duckdb.connect(config={**ours, **settings})


@contextmanager
def explain_read_errors() -> Iterator[None]:
    """Turns DuckDB's errors of damaged files, and of exhausted memory, into a StorageError."""
    try:
        yield
    except UNREADABLE as error:
        raise StorageError(
            f"a file of the lake cannot be read ({first_line(error)}): `editflow verify` names what is damaged"
        ) from error
    except (duckdb.OutOfMemoryException, MemoryError) as error:
        raise StorageError(
            f"reading the lake takes more than the {memory_limit() / 2**30:.3g} GiB of memory that it may use: "
            "`editflow verify` names what is damaged, and `editflow verify --rebuild` writes the index again"
        ) from error
