"""What a lake holds that nobody can miss: what killed writers left, and what was set aside as broken.

    .tmp-…                      a file that was being written, or a folder that was being removed
    artifacts/…                 a payload whose manifest was never written
    ….discarded-…               a payload, manifest or run record moved aside since it was damaged
    prefect/<id>                Prefect's record of an artifact that is not committed

The rule: a file is litter when no reader would ever open it, and when it has not been touched for so long that no
writer can be at work on it. Committed artifacts, run records, names, queues and releases are never litter.
"""

import contextlib
import os
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from storage.manifest import manifest_name
from storage.store import Lake

What = Literal["unfinished file", "set aside", "payload without manifest", "result without artifact"]


@dataclass(frozen=True)
class Litter:
    """A file by its name inside the lake, what it is, and its bytes."""

    name: str
    what: What
    bytes: int


def litter(lake: Lake, hours: float) -> Iterator[Litter]:
    """The litter of a lake on a local disk that was last touched so many hours ago. Cost: a walk over its files."""
    root, before = Path(lake.files.root), time.time() - 3600 * hours
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder) / name
            what = _what(lake, path.relative_to(root))
            with contextlib.suppress(FileNotFoundError):  # somebody has just removed it
                status = path.stat()
                if what is not None and status.st_mtime < before:
                    yield Litter(str(path.relative_to(root)), what, status.st_size)


def sweep(lake: Lake, found: Litter, hours: float) -> bool:
    """Remove one piece of litter; false where a writer has touched or taken it since it was found.

    It is moved aside first: what a writer puts in its place in between is not what is deleted.
    """
    path = Path(lake.files.path(found.name))
    aside = path.with_name(f".tmp-{uuid.uuid4().hex}")
    try:
        path.rename(aside)
    except FileNotFoundError:
        return False
    young = aside.stat().st_mtime >= time.time() - 3600 * hours
    if young or _what(lake, Path(found.name)) is None:
        with contextlib.suppress(FileExistsError):
            os.link(aside, path)
        aside.unlink()
        return False
    aside.unlink()
    with contextlib.suppress(OSError):  # an artifact's folder that holds something else, or is not one
        if found.what == "payload without manifest" or path.parent.name.startswith(".tmp-"):
            path.parent.rmdir()
    return True


def _what(lake: Lake, name: Path) -> What | None:
    if any(part.startswith(".tmp-") for part in name.parts):
        return "unfinished file"
    if ".discarded-" in name.name and name.parts[0] in {"artifacts", "runs"}:
        return "set aside"
    if name.parts[0] == "artifacts":
        lost = name.suffix == ".parquet" and not lake.files.exists(manifest_name(name.parent.name))
        return "payload without manifest" if lost else None
    if name.parts[0] == "prefect" and len(name.name) == 64 and not lake.files.exists(manifest_name(name.name)):
        return "result without artifact"
    return None
