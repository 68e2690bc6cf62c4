"""Temporary folders that record their owner, so that those of killed processes can be found and removed.

    editflow-<purpose>-…/.owner.json     host, process id and its start time

Only the owner writes to them. A folder is abandoned if it belongs to this user, is not a symbolic link, and its
owner was a process of this host that no longer exists.
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
_MAX_OWNER_BYTES = 4096
_SETUP_SECONDS = 3600
"""Minimum age of an abandoned folder without an owner; a younger one may just be in creation."""
_MODEL_PREFIX, _LOADING_SECONDS = f"{PREFIX}model-", 24 * 3600
"""Folders of links through which a model is loaded; they record no owner, and loading takes less than a day."""
_MODEL_FILES = {"tokenizer_config.json", "model.safetensors.index.json"}
"""The only regular files beside these links."""
_MAX_MODEL_FILE_BYTES = 2**24


@dataclass(frozen=True)
class Owner:
    """A process: its host, its id, and its start time (Unix time)."""

    host: str
    pid: int
    started: float

    @classmethod
    def current(cls) -> Owner:
        """This process."""
        return cls(platform.node(), os.getpid(), process_start_time(os.getpid()))

    @classmethod
    def from_json(cls, value: object) -> Owner | None:
        """The owner in parsed JSON; None if it is not plausible."""
        if not isinstance(value, dict):
            return None
        host, pid, started = (value.get(name) for name in ("host", "pid", "started"))
        if not isinstance(host, str) or not isinstance(pid, int) or not isinstance(started, int | float):
            return None
        valid = not isinstance(pid, bool) and 0 < pid < 2**31 and 0 <= started < 2**40
        return cls(host, pid, float(started)) if valid else None

    @property
    def is_gone(self) -> bool:
        """Whether it was a process of this host that no longer exists; False for other hosts."""
        return not may_be_running(self.host, self.pid, self.started)


@dataclass(frozen=True)
class AbandonedFolder:
    """A temporary folder whose owner is gone, and its size in bytes."""

    path: Path
    bytes: int


@contextmanager
def temporary_folder(purpose: str, parent: Path | None = None) -> Iterator[Path]:
    """A folder that exists during the block, in `parent` or the system's folder for temporary files."""
    with tempfile.TemporaryDirectory(prefix=f"{PREFIX}{purpose}-", dir=parent) as folder:
        (Path(folder) / OWNER).write_text(json.dumps(vars(Owner.current())), encoding="utf-8")
        yield Path(folder)


def find_abandoned(places: Iterable[Path]) -> list[AbandonedFolder]:
    """The abandoned temporary folders in these places. Cost: a walk over each of them."""
    found = [path for place in dict.fromkeys(places) for path in _own_folders(place) if _is_abandoned(path)]
    return [AbandonedFolder(path, _size(path)) for path in sorted(found)]


def remove_abandoned(folder: AbandonedFolder) -> bool:
    """Remove a folder if it is still abandoned; return whether it is gone. Links in it are not followed."""
    if not (_is_own_folder(folder.path) and _is_abandoned(folder.path)):
        return False
    with suppress(OSError):
        shutil.rmtree(folder.path)
    return not folder.path.exists()


def _own_folders(place: Path) -> list[Path]:
    try:
        with os.scandir(place) as entries:
            paths = [Path(entry.path) for entry in entries if entry.name.startswith(PREFIX)]
    except OSError:
        return []
    return [path for path in paths if _is_own_folder(path)]


def _is_own_folder(path: Path) -> bool:
    """Whether it is a folder of this user, and not a link."""
    with suppress(OSError):
        status = path.lstat()
        return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
    return False


def _is_abandoned(path: Path) -> bool:
    owner = _read_owner(path)
    return _is_old_without_owner(path) if owner is None else owner.is_gone


def _read_owner(path: Path) -> Owner | None:
    """The owner that a folder records. Follows no link and reads no device or pipe."""
    try:
        handle = os.open(path / OWNER, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.getuid():
            return None
        with suppress(ValueError, RecursionError):
            return Owner.from_json(json.loads(file.read(_MAX_OWNER_BYTES)))
    return None


def _is_old_without_owner(path: Path) -> bool:
    """Whether it is old and either empty, because its process was killed early, or has only the links of a model."""
    with suppress(OSError):
        age = time.time() - path.lstat().st_mtime
        if path.name.startswith(_MODEL_PREFIX):
            return age > _LOADING_SECONDS and all(map(_is_loading_file, path.iterdir()))
        sizes = {file.name: file.lstat().st_size for file in path.iterdir()}
        return age > _SETUP_SECONDS and sizes in ({}, {OWNER: 0})
    return False


def _is_loading_file(path: Path) -> bool:
    """Whether it is a link, or one of the files that loading writes beside links."""
    status = path.lstat()
    if stat.S_ISREG(status.st_mode):
        return path.name in _MODEL_FILES and status.st_size <= _MAX_MODEL_FILE_BYTES
    return stat.S_ISLNK(status.st_mode)


def _size(path: Path) -> int:
    size = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with suppress(OSError):
                size += (Path(folder) / name).lstat().st_size
    return size
