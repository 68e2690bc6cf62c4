"""Files that are safe to delete: leftovers of killed writers, and damaged files that were set aside.

    .tmp-…                      a file that was being written, or a folder that was being removed
    artifacts/…                 a payload whose manifest was never written
    ….discarded-…               a payload, manifest or run record that was moved aside because it was damaged
    prefect                     Prefect's results, which earlier versions wrote here; loading them may run code

A file is an orphan if no reader ever opens it and no writer has touched it for some hours. Prefect's results have
neither reader nor writer, so their age does not count. Committed artifacts, run records, names, queues and releases are
never orphans.
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

OrphanKind = Literal["unfinished file", "set aside", "payload without manifest", "result of Prefect"]
RESULTS = "prefect"
"""The folder of Prefect's results."""


@dataclass(frozen=True)
class Orphan:
    """An orphan file: its name inside the lake, its kind and its bytes; or a folder with the totals of its files."""

    name: str
    what: OrphanKind
    bytes: int
    files: int = 1


def find_orphans(lake: Lake, hours: float) -> Iterator[Orphan]:
    """The orphan files of a local lake that were not touched for ``hours``. Cost: a walk over all files."""
    root, before = Path(lake.files.root), time.time() - 3600 * hours
    yield from prefect_results(lake)
    for folder, folders, names in os.walk(root):
        if folder == str(root) and RESULTS in folders:
            folders.remove(RESULTS)
        itself = [] if names or folders or folder == str(root) else ["."]  # an empty folder that was being removed
        for name in names or itself:
            path = Path(folder) / name
            what = _classify(lake, path.relative_to(root))
            with contextlib.suppress(FileNotFoundError):  # another process has just removed it
                status = path.lstat()
                if what is not None and status.st_mtime < before:
                    yield Orphan(str(path.relative_to(root)), what, status.st_size)


def prefect_results(lake: Lake) -> Iterator[Orphan]:
    """The folder of Prefect's results as one orphan, if it exists. Opens no file and follows no link."""
    folder = Path(lake.files.path(RESULTS))
    if folder.is_symlink() or folder.exists():
        is_real = folder.is_dir() and not folder.is_symlink()
        paths = [Path(parent) / name for parent, _, names in os.walk(folder) for name in names] if is_real else [folder]
        size = 0
        for path in paths:
            with contextlib.suppress(FileNotFoundError):
                size += path.lstat().st_size
        yield Orphan(RESULTS, "result of Prefect", size, max(1, len(paths)))


def remove_orphan(lake: Lake, found: Orphan, hours: float) -> bool:
    """Remove one orphan; false if a writer has touched or claimed it since it was found.

    It is moved aside first, so that a file that a writer puts in its place meanwhile is not deleted.
    """
    path = Path(lake.files.path(found.name))
    aside = path.with_name(f".tmp-{uuid.uuid4().hex}")
    try:
        path.rename(aside)
    except FileNotFoundError:
        return False
    if found.name == RESULTS:
        _delete(aside)
        return True
    is_recent = aside.lstat().st_mtime >= time.time() - 3600 * hours
    if is_recent or _classify(lake, Path(found.name)) is None:
        if not aside.is_dir():
            with contextlib.suppress(FileExistsError):
                os.link(aside, path)
            aside.unlink()
        return False
    _delete(aside)
    with contextlib.suppress(OSError):  # the folder is not empty, or not a folder
        is_artifact_folder = found.what == "payload without manifest" and len(Path(found.name).parts) > 2
        if is_artifact_folder or path.parent.name.startswith(".tmp-"):
            path.parent.rmdir()
    return True


def _delete(path: Path) -> None:
    """Delete a file, a link (not its target), or a folder with its content."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _classify(lake: Lake, name: Path) -> OrphanKind | None:
    """The kind of orphan that a name denotes; None for a file of the lake."""
    if any(part.startswith(".tmp-") for part in name.parts):
        return "unfinished file"
    if ".discarded-" in name.name and name.parts[0] in {"artifacts", "runs"}:
        return "set aside"
    is_payload = name.parts[0] == "artifacts" and name.suffix == ".parquet"
    if is_payload and not lake.files.exists(f"{name.parent}/manifest.json"):
        return "payload without manifest"
    return None
