"""Ways to damage a file; each returns its path."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from editflow.storage.artifacts.identity import table_digest


def flip_bit(path: Path) -> Path:
    """Flip one bit of a payload that changes its content or makes it unreadable."""
    whole, content = path.read_bytes(), table_digest(parquet.read_table(path))
    for place in range(len(whole) // 2, len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        try:
            if table_digest(parquet.read_table(path)) != content:
                return path
        except (pa.ArrowException, OSError, ValueError, TypeError):
            return path
    raise AssertionError(f"no bit of {path} changes its content")


def touch_bit(path: Path) -> Path:
    """Flip one bit of a Parquet file's metadata: the writer's name near its end."""
    whole = path.read_bytes()
    place = whole.rindex(b"parquet-cpp")
    path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    return path


def halve(path: Path) -> Path:
    """Cut a file in half."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def remove(path: Path) -> Path:
    """Delete a file."""
    path.unlink()
    return path
