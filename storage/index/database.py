"""The only place that opens DuckDB: in memory, with bounded memory, without spilling to disk.

A small file of a lake may decompress to more than the memory of the machine. DuckDB then raises an error, and the
reader treats the file as damaged.
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
"""Settings of DuckDB by name."""
UNREADABLE = (duckdb.IOException, duckdb.InvalidInputException)
"""DuckDB's errors for a file that is missing or not Parquet."""
_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
"""The memory limit of a container."""


def memory_limit() -> int:
    """Bytes that reading an index may use: half of the memory of the machine or container, at least 1 GiB."""
    total = int(psutil.virtual_memory().total)
    with suppress(OSError, ValueError):
        total = min(total, int(_CGROUP_LIMIT.read_text()))
    return max(total // 2, 2**30)


def open_database(settings: Settings = MappingProxyType({})) -> duckdb.DuckDBPyConnection:
    """An empty database. SQL cannot read Python variables, and nothing is spilled to disk."""
    defaults = {
        "python_enable_replacements": "false",
        "temp_directory": "",
        "memory_limit": f"{memory_limit() // 2**20}MiB",
    }
    return duckdb.connect(config={**defaults, **settings})


@contextmanager
def explain_read_errors() -> Iterator[None]:
    """Turn DuckDB's errors for damaged files and exhausted memory into a StorageError."""
    try:
        yield
    except UNREADABLE as error:
        raise StorageError(
            f"a file of the lake cannot be read ({first_line(error)}): `editflow verify` names what is damaged"
        ) from error
    except (duckdb.OutOfMemoryException, MemoryError) as error:
        raise StorageError(
            f"reading the lake needs more than the {memory_limit() / 2**30:.3g} GiB of memory that it may use: "
            "`editflow verify` names what is damaged, and `editflow verify --rebuild` writes the index again"
        ) from error
