"""Files that are safe to delete: leftovers of killed writers, and damaged files that were set aside.

    .tmp-…                      a file that was being written, or a folder that was being removed
    artifacts/…                 a payload whose manifest was never written
    ….discarded-…               a payload, manifest or run record moved aside since it was damaged
    prefect                     Prefect's results, which earlier versions kept here: they choose how they are read

The rule: a file is an orphan when no reader would ever open it, and when it has not been touched for so long that no
writer can be at work on it. Prefect's results have neither reader nor writer, so their age does not count. Committed
artifacts, run records, names, queues and releases are never orphans.
"""

import contextlib
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from editflow.storage.artifacts.store import Lake

What = Literal["unfinished file", "set aside", "payload without manifest", "result of Prefect"]
RESULTS = "prefect"
"""The folder of the last of these."""


@dataclass(frozen=True)
class Orphan:
    """A file by its name inside the lake, what it is, and its bytes; or a folder with the bytes of all its files."""

    name: str
    what: What
    bytes: int
    files: int = 1


def find_orphans(lake: Lake, hours: float) -> Iterator[Orphan]:
    """The orphan files of a lake on a local disk that were last touched so many hours ago. Cost: a walk over its
    files."""
    root, before = Path(lake.files.root), time.time() - 3600 * hours
    yield from prefect_results(lake)
    for folder, folders, names in os.walk(root):
        if folder == str(root) and RESULTS in folders:
            folders.remove(RESULTS)
        emptied = [] if names or folders or folder == str(root) else ["."]  # a folder that was being removed
        for name in names or emptied:
            path = Path(folder) / name
            what = _what(lake, path.relative_to(root))
            with contextlib.suppress(FileNotFoundError):  # another process has just removed it
                status = path.lstat()
                if what is not None and status.st_mtime < before:
                    yield Orphan(str(path.relative_to(root)), what, status.st_size)


def prefect_results(lake: Lake) -> Iterator[Orphan]:
    """The folder of Prefect's results as one piece, if there is one. Nothing in it is opened, and no link followed."""
    folder = Path(lake.files.path(RESULTS))
    if folder.is_symlink() or folder.exists():
        inside = folder.is_dir() and not folder.is_symlink()
        held = [Path(place) / name for place, _, names in os.walk(folder) for name in names] if inside else [folder]
        size = 0
        for path in held:
            with contextlib.suppress(FileNotFoundError):
                size += path.lstat().st_size
        yield Orphan(RESULTS, "result of Prefect", size, max(1, len(held)))


def remove_orphan(lake: Lake, found: Orphan, hours: float) -> bool:
    """Remove one orphan; false if a writer has touched or taken it since it was found.

    It is moved aside first: what a writer puts in its place in between is not what is deleted.
    """
    path = Path(lake.files.path(found.name))
    aside = path.with_name(f".tmp-{uuid.uuid4().hex}")
    try:
        path.rename(aside)
    except FileNotFoundError:
        return False
    if found.name == RESULTS:
        _drop(aside)
        return True
    young = aside.lstat().st_mtime >= time.time() - 3600 * hours
    if young or _what(lake, Path(found.name)) is None:
        if not aside.is_dir():
            with contextlib.suppress(FileExistsError):
                os.link(aside, path)
            aside.unlink()
        return False
    _drop(aside)
    with contextlib.suppress(OSError):  # an artifact's folder that holds something else, or is not one
        inside = found.what == "payload without manifest" and len(Path(found.name).parts) > 2
        if inside or path.parent.name.startswith(".tmp-"):
            path.parent.rmdir()
    return True


def _drop(path: Path) -> None:
    """Remove a file, a link (not what it leads to), or a folder with all that is in it."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _what(lake: Lake, name: Path) -> What | None:
    if any(part.startswith(".tmp-") for part in name.parts):
        return "unfinished file"
    if ".discarded-" in name.name and name.parts[0] in {"artifacts", "runs"}:
        return "set aside"
    if name.parts[0] == "artifacts":
        lost = name.suffix == ".parquet" and not lake.files.exists(f"{name.parent}/manifest.json")
        return "payload without manifest" if lost else None
    return None
