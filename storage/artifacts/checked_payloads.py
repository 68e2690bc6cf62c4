"""Payloads that this process has checked byte by byte and need no second check while their files are unchanged."""

from __future__ import annotations

import os

from editflow.storage.artifacts.manifest import Manifest
from editflow.storage.files import Files

_State = tuple[str, int, int, int, int]
_CHECKED: dict[str, _State] = {}
"""By path: digest, size, times and inode of the checked file. Bounded by the payloads that were read."""


def state_of(files: Files, manifest: Manifest) -> _State | None:
    """The state of a payload's file; None for object storage and for a file that is missing."""
    if not files.local:
        return None
    try:
        found = os.lstat(files.path(manifest.payload))
    except OSError:
        return None
    return manifest.digest, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


def is_checked(files: Files, manifest: Manifest) -> bool:
    """Whether this process has checked the payload and its file is unchanged since."""
    state = state_of(files, manifest)
    return state is not None and _CHECKED.get(files.path(manifest.payload)) == state


def remember(files: Files, manifest: Manifest, state: _State | None) -> None:
    """Note a check that found nothing wrong; `state` was taken before it."""
    if state is not None:
        _CHECKED[files.path(manifest.payload)] = state
