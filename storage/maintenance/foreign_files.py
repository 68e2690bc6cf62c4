"""Files in a lake that are not the lake's own or are in the wrong place: each is named, nothing is changed.

A link that leads out of the lake, a pipe, a socket or a device anywhere; a file where a folder belongs, or a folder
where a file does; an artifact's folder whose name is no id, or is filed under other digits; a run's folder whose name
is no run's id. Readers refuse these one by one (storage/containment.py); this walk finds them all.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from editflow.storage import containment
from editflow.storage.errors import ForeignFile
from editflow.storage.files import Files
from editflow.storage.json_records import is_id, is_run_id

MOVING = ("refs", "queues", "releases", "notices")
"""The folders of moving names."""
_TOPS = frozenset(
    {*MOVING, "artifacts", "runs", "catalog", "removed", "conflicts", "fingerprints", "inputs", "prefect"}
)
_FOLDER = re.compile(
    r"artifacts/[0-9a-f]{2}(/[0-9a-f]{64})?|runs/\d{8}T\d{6}-[0-9a-f]{6}|catalog/(artifacts|uses|runs)(/_delta_log)?"
    r"|catalog/snapshot(/\d{20}-[0-9a-f]{8})?|(refs|queues|releases|notices)/[a-z0-9][a-z0-9._-]*"
)
_FILE = re.compile(
    r"artifacts/[^/]+/[^/]+/(manifest\.json|payload-[^/]*\.parquet)|runs/[^/]+/(started|finished)\.json"
    r"|(refs|queues|releases|notices)/[^/]+/\d+\.json|(removed|conflicts|fingerprints)/[^/]+"
    r"|catalog/(artifacts|uses|runs)/([^/]+\.parquet|_delta_log/\d+\.(json|checkpoint\.parquet))"
    r"|catalog/snapshot/(after|\d{20}-[0-9a-f]{8}/[^/]+)"
)
"""What belongs where, by name; other files in a lake are not checked."""


@dataclass(frozen=True)
class Stray:
    """A name inside the lake, what is wrong with it, and what to do."""

    name: str
    wrong: str
    remedy: str


def strays(files: Files) -> Iterator[Stray]:
    """All of a lake on a local disk, in the order of their names. Cost: a listing of every folder of it."""
    if files.local:
        for entry in _entries(files.root):
            if entry.name in _TOPS:
                yield from _check_entry(files, entry.name, entry)


def _entries(folder: str) -> list[os.DirEntry[str]]:
    """The readable entries of a folder; none if the folder has just gone or cannot be listed."""
    with contextlib.suppress(OSError), os.scandir(folder) as found:
        entries = [entry for entry in found if not entry.name.startswith(".tmp-")]
        return sorted(entries, key=lambda entry: entry.name)
    return []


def _check_entry(files: Files, name: str, entry: os.DirEntry[str]) -> Iterator[Stray]:
    """What is wrong with one entry, or with what is in it."""
    wrong = _link(files, name, entry) or _kind(name, entry) or _named(files, name, entry)
    if wrong:
        yield wrong
    elif entry.is_dir(follow_symlinks=False):
        for inner in _entries(entry.path):
            yield from _check_entry(files, f"{name}/{inner.name}", inner)


def _link(files: Files, name: str, entry: os.DirEntry[str]) -> Stray | None:
    if entry.is_symlink():
        try:
            containment.resolve_link(files.root, entry.path, files.allowed_roots)
        except ForeignFile as error:
            return Stray(name, f"is {error.what}", error.remedy)
    return None


def _kind(name: str, entry: os.DirEntry[str]) -> Stray | None:
    """What is there, if it does not belong there."""
    if entry.is_dir():
        is_file = _FILE.fullmatch(name) and ".discarded-" not in name
        return Stray(name, "is a folder where a file belongs", "remove it, and restore the file") if is_file else None
    if entry.is_file():
        is_folder = name in _TOPS or _FOLDER.fullmatch(name)
        return Stray(name, "is a file where a folder belongs", "move it elsewhere") if is_folder else None
    if entry.is_symlink():  # to nothing, inside the lake
        return None
    error = containment.foreign_file(entry.path, _mode(entry))
    return Stray(name, f"is {error.what}", error.remedy)


def _mode(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_mode
    except OSError:  # gone by now, or not readable
        return stat.S_IFREG


def _named(files: Files, name: str, entry: os.DirEntry[str]) -> Stray | None:
    """What is wrong with the name of an artifact's or a run's folder."""
    parts = name.split("/")
    if not entry.is_dir():
        return None
    if parts[0] == "artifacts" and len(parts) == 3 and files.exists(f"{name}/manifest.json"):
        if not is_id(parts[2]):
            return Stray(name, "has a name that is no id", "remove its folder")
        if parts[2][:2] != parts[1]:
            return Stray(
                name, f"is filed under {parts[1]}", f"move its folder to artifacts/{parts[2][:2]}, or remove it"
            )
    if parts[0] == "runs" and len(parts) == 2 and not is_run_id(parts[1]) and files.exists(f"{name}/started.json"):
        return Stray(name, "has a name that is no run's id", "remove it, or give it its run's id again")
    return None
