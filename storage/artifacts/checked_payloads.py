"""Payloads that this process has checked byte by byte, and need not check again while their files are unchanged."""

from __future__ import annotations

import os

from editflow.storage.artifacts.manifest import Manifest
from editflow.storage.files import Files

_State = tuple[str, int, int, int, int]
_CHECKED: dict[str, _State] = {}
"""{path: digest, size, times and inode of the checked file}. Grows only with the payloads that are read."""


def state_of(files: Files, manifest: Manifest) -> _State | None:
    """The state of a payload's file; None on object storage and if the file is missing."""
    if not files.local:
        return None
    try:
        status = os.lstat(files.path(manifest.payload))
    except OSError:
        return None
    return manifest.digest, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def is_checked(files: Files, manifest: Manifest) -> bool:
    """Whether this process has checked the payload, and its file is unchanged since."""
    state = state_of(files, manifest)
    return state is not None and _CHECKED.get(files.path(manifest.payload)) == state


def remember(files: Files, manifest: Manifest, state: _State | None) -> None:
    """Remember a successful check; `state` is the file's state before it."""
    if state is not None:
        _CHECKED[files.path(manifest.payload)] = state
