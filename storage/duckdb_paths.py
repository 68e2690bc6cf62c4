"""File names for DuckDB, which reads `*`, `?` and `[` as glob patterns and has no escape for them.

A folder with such a name is opened once and read through its file descriptor (`/proc/self/fd/7`). On systems without
`/proc`, it is read through a link in a temporary folder that is removed at exit.
"""

import atexit
import os
import shutil
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

_GLOB_CHARACTERS = frozenset("*?[")
_DESCRIPTORS = Path("/proc/self/fd")


def literal_path(path: str) -> str:
    """Another path of the same file without glob characters.

    Relative and remote paths, and paths without such characters, are returned unchanged. Raises OSError.
    """
    if _GLOB_CHARACTERS.isdisjoint(path) or not path.startswith("/"):
        return path
    parts = path.split("/")
    count = 1 + max(index for index, part in enumerate(parts) if not _GLOB_CHARACTERS.isdisjoint(part))
    folder = "/".join(parts[:count])
    status = Path(folder).stat()
    return "/".join([_alias(folder, status.st_dev, status.st_ino), *parts[count:]])


def read_parquet(paths: Sequence[str], *options: str) -> str:
    """DuckDB's call that reads exactly these files: globs and Hive partitions (`layer=7`) are not interpreted."""
    listed = ", ".join(quote(literal_path(path)) for path in paths)
    return f"read_parquet([{listed}], {', '.join(['hive_partitioning = false', *options])})"


def quote(text: str) -> str:
    """A text as an SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


@cache
def _alias(path: str, device: int, inode: int) -> str:
    """A path without glob characters; it keeps naming the same file if the original path is reused."""
    del device, inode
    if _DESCRIPTORS.is_dir():
        return f"{_DESCRIPTORS}/{os.open(path, os.O_PATH | os.O_CLOEXEC)}"
    folder = tempfile.mkdtemp(prefix="editflow-name-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    link = Path(folder) / "link"
    link.symlink_to(path)
    return str(link)
