"""File names for DuckDB, which reads `*`, `?` and `[` as patterns and has no escape for them.

A folder with such a name is opened once and read through its descriptor's name (`/proc/self/fd/7`); where the system
has no such names, through a link in a temporary folder that goes with the process.
"""

import atexit
import os
import shutil
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

_PATTERN = frozenset("*?[")
_DESCRIPTORS = Path("/proc/self/fd")


def literal(path: str) -> str:
    """A name of the same file that is no pattern; a relative, remote or plain path as it is. Raises OSError."""
    if _PATTERN.isdisjoint(path) or not path.startswith("/"):
        return path
    parts = path.split("/")
    count = 1 + max(place for place, part in enumerate(parts) if not _PATTERN.isdisjoint(part))
    folder = "/".join(parts[:count])
    held = Path(folder).stat()
    return "/".join([_name(folder, held.st_dev, held.st_ino), *parts[count:]])


def parquet(paths: Sequence[str], *options: str) -> str:
    """DuckDB's call that reads these very files: no path is a pattern, and no folder's name a column (`layer=7`)."""
    listed = ", ".join(quoted(literal(path)) for path in paths)
    return f"read_parquet([{listed}], {', '.join(['hive_partitioning = false', *options])})"


def quoted(text: str) -> str:
    """A text as SQL's literal."""
    return "'" + text.replace("'", "''") + "'"


@cache
def _name(path: str, device: int, inode: int) -> str:
    """A plain name of the file that is now at a path; it keeps naming that file if the path is reused."""
    del device, inode
    if _DESCRIPTORS.is_dir():
        return f"{_DESCRIPTORS}/{os.open(path, os.O_PATH | os.O_CLOEXEC)}"
    folder = tempfile.mkdtemp(prefix="editflow-name-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    link = Path(folder) / "link"
    link.symlink_to(path)
    return str(link)
