"""Temporary folders that record their owner, so that those of killed processes are found and removed.

    editflow-<what>-…/.owner.json     host, process and its start

Only their owner writes to them. One is abandoned when it belongs to this user, is where it seems to be (no
link), and its owner was a process of this host that is gone.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from editflow.storage.records.runs import may_be_running, process_start_time

PREFIX, OWNER = "editflow-", ".owner.json"
_LARGEST = 4096
"""Bytes of an owner's file, at most."""
_BORN = 3600
"""Seconds after which an empty folder without an owner is none that is just being made."""
_LINKS, _LOADED = f"{PREFIX}model-", 24 * 3600
"""Folders of links through which a model is loaded; they name no owner, and loading takes no day."""
_WRITTEN = {"tokenizer_config.json", "model.safetensors.index.json"}
"""The only regular files among these links."""
_SMALL = 2**24
"""Bytes of such a file, at most."""


@dataclass(frozen=True)
class Owner:
    """A process: where it runs, its number, and when it began (Unix time)."""

    host: str
    pid: int
    started: float

    @classmethod
    def me(cls) -> Owner:
        """This process."""
        return cls(platform.node(), os.getpid(), process_start_time(os.getpid()))

    @classmethod
    def of(cls, told: object) -> Owner | None:
        """The owner in JSON, if it is plausible."""
        if not isinstance(told, dict):
            return None
        host, pid, started = (told.get(name) for name in ("host", "pid", "started"))
        if not isinstance(host, str) or not isinstance(pid, int) or not isinstance(started, int | float):
            return None
        true = not isinstance(pid, bool) and 0 < pid < 2**31 and 0 <= started < 2**40
        return cls(host, pid, float(started)) if true else None

    @property
    def is_gone(self) -> bool:
        """Whether it was of this host and is gone; for another host this is unknown."""
        return not may_be_running(self.host, self.pid, self.started)


@dataclass(frozen=True)
class Abandoned:
    """A temporary folder whose owner is gone, and the bytes in it."""

    path: Path
    bytes: int


@contextmanager
def temporary(what: str, parent: Path | None = None) -> Iterator[Path]:
    """A folder for the length of a block, in the system's folder for such or in another; `what` it is for."""
    with tempfile.TemporaryDirectory(prefix=f"{PREFIX}{what}-", dir=parent) as folder:
        (Path(folder) / OWNER).write_text(json.dumps(vars(Owner.me())), encoding="utf-8")
        yield Path(folder)


def abandoned(places: Iterable[Path]) -> list[Abandoned]:
    """The temporary folders in these places whose owners are gone. Cost: a walk over each of them."""
    found = [path for place in dict.fromkeys(places) for path in _ours(place) if _is_abandoned(path)]
    return [Abandoned(path, _size(path)) for path in sorted(found)]


def clear(found: Abandoned) -> bool:
    """Remove such a folder, if it is one still; whether it is gone. Links in it go, and not what they lead to."""
    if not (_is_own(found.path) and _is_abandoned(found.path)):
        return False
    with suppress(OSError):
        shutil.rmtree(found.path)
    return not found.path.exists()


def _ours(place: Path) -> list[Path]:
    try:
        with os.scandir(place) as entries:
            named = [Path(entry.path) for entry in entries if entry.name.startswith(PREFIX)]
    except OSError:
        return []
    return [path for path in named if _is_own(path)]


def _is_own(path: Path) -> bool:
    """Whether it is a folder, and no link, of this user."""
    with suppress(OSError):
        status = path.lstat()
        return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
    return False


def _is_abandoned(path: Path) -> bool:
    owner = _owner(path)
    return _is_unborn(path) if owner is None else owner.is_gone


def _owner(path: Path) -> Owner | None:
    """The owner that a folder records; no link is followed, and no device or pipe read."""
    try:
        handle = os.open(path / OWNER, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.getuid():
            return None
        with suppress(ValueError, RecursionError):
            return Owner.of(json.loads(file.read(_LARGEST)))
    return None


def _is_unborn(path: Path) -> bool:
    """Whether it is old, and empty, because its maker was killed early, or holds links of a model only."""
    with suppress(OSError):
        age = time.time() - path.lstat().st_mtime
        if path.name.startswith(_LINKS):
            return age > _LOADED and all(map(_is_shown, path.iterdir()))
        held = {name.name: name.lstat().st_size for name in path.iterdir()}
        return age > _BORN and held in ({}, {OWNER: 0})
    return False


def _is_shown(path: Path) -> bool:
    """Whether it is a link, or one of the files that loading writes beside links."""
    status = path.lstat()
    return stat.S_ISLNK(status.st_mode) or (
        stat.S_ISREG(status.st_mode) and path.name in _WRITTEN and status.st_size <= _SMALL
    )


def _size(path: Path) -> int:
    size = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with suppress(OSError):
                size += (Path(folder) / name).lstat().st_size
    return size
