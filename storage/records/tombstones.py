"""Tombstones of garbage-collected artifacts, so that verify does not report them missing.

    <lake>/removed/<time>-<random>      the ids that one garbage collection removed, one per line

A listed artifact may exist: it was created again, or the garbage collection was killed before it reached it. Only runs
that began before a removal can have used the artifact; if a later run used it and it is missing, it is lost.
"""

from __future__ import annotations

import contextlib
import re
import secrets
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from editflow.storage.errors import ForeignFile
from editflow.storage.files import Files
from editflow.storage.json_records import is_id

FOLDER = "removed"
_NAME = re.compile(r"\d{20}-[0-9a-f]+", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def announce_removal(files: Files, ids: Iterable[str]) -> str:
    """Record artifacts before they are removed; returns the file's name. Raises LakeNotWritable, DiskFull."""
    name = f"{FOLDER}/{time.time_ns():020d}-{secrets.token_hex(4)}"
    files.put(name, _lines(ids))
    return name


def confirm_removal(files: Files, name: str, ids: Iterable[str]) -> None:
    """Record which of the announced artifacts were removed. Raises LakeNotWritable, DiskFull."""
    if text := _lines(ids):
        files.put(name, text)
    else:
        files.remove(name)


def removed_at(files: Files) -> dict[str, datetime]:
    """{id: time of its last removal} of all artifacts that were ever removed."""
    found = dict[str, datetime]()
    for name in files.list(FOLDER):  # oldest first
        if _NAME.fullmatch(name):
            time_removed = _EPOCH + timedelta(microseconds=int(name[:20]) / 1000)
            with contextlib.suppress(ForeignFile, FileNotFoundError):  # its artifacts then count as lost
                text = files.read(f"{FOLDER}/{name}").decode(errors="replace")
                found |= {id_: time_removed for id_ in text.split() if is_id(id_)}
    return found


def _lines(ids: Iterable[str]) -> bytes:
    return "".join(f"{id_}\n" for id_ in ids).encode()
