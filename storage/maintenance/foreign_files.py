"""Finds entries of a lake that do not belong to it or are in the wrong place. Changes nothing.

These are: a link out of the lake, a pipe, a socket or a device; a file in place of a folder, or the reverse; an
artifact's folder whose name is not an id or is in the wrong shard; a run's folder whose name is not a run id. Readers
refuse them one by one (storage/containment.py); this walk finds them all.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterator

from editflow.storage import containment
from editflow.storage.artifacts.check import Fault
from editflow.storage.errors import ForeignFile
from editflow.storage.files import Files
from editflow.storage.json_records import is_id, is_run_id

NAME_FOLDERS = ("refs", "queues", "releases", "notices")
"""The folders that hold versioned names."""
_TOP_FOLDERS = frozenset(
    {*NAME_FOLDERS, "artifacts", "runs", "catalog", "removed", "conflicts", "fingerprints", "inputs", "prefect"}
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
"""Names that must be folders, and names that must be files; other entries of a lake are not checked."""


def foreign_files(files: Files) -> Iterator[Fault]:
    """The foreign entries of a lake on a local disk, sorted by name. Cost: lists every folder of the lake."""
    if files.local:
        for entry in _entries(files.root):
            if entry.name in _TOP_FOLDERS:
                yield from _check_entry(files, entry.name, entry)


def _entries(folder: str) -> list[os.DirEntry[str]]:
    """The entries of a folder, sorted by name; none if the folder was just removed or cannot be listed."""
    with contextlib.suppress(OSError), os.scandir(folder) as found:
        entries = [entry for entry in found if not entry.name.startswith(".tmp-")]
        return sorted(entries, key=lambda entry: entry.name)
    return []


def _check_entry(files: Files, name: str, entry: os.DirEntry[str]) -> Iterator[Fault]:
    """Check one entry; if it is a valid folder, check its entries too."""
    found = _check_link(files, name, entry) or _check_type(name, entry) or _check_name(files, name, entry)
    if found:
        yield found
    elif entry.is_dir(follow_symlinks=False):
        for inner in _entries(entry.path):
            yield from _check_entry(files, f"{name}/{inner.name}", inner)


def _check_link(files: Files, name: str, entry: os.DirEntry[str]) -> Fault | None:
    """Find a symbolic link that leads out of the lake."""
    if entry.is_symlink():
        try:
            containment.resolve_link(files.root, entry.path, files.allowed_roots)
        except ForeignFile as error:
            return _fault(name, f"is {error.what}", error.remedy)
    return None


def _check_type(name: str, entry: os.DirEntry[str]) -> Fault | None:
    """Find a folder in place of a file, a file in place of a folder, and anything that is neither."""
    if entry.is_dir():
        if _FILE.fullmatch(name) and ".discarded-" not in name:
            return _fault(name, "is a folder where a file belongs", "remove it, and restore the file")
        return None
    if entry.is_file():
        if name in _TOP_FOLDERS or _FOLDER.fullmatch(name):
            return _fault(name, "is a file where a folder belongs", "move it elsewhere")
        return None
    if entry.is_symlink():  # a broken link inside the lake
        return None
    error = containment.foreign_file(entry.path, _mode(entry))
    return _fault(name, f"is {error.what}", error.remedy)


def _mode(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_mode
    except OSError:  # just removed, or not readable
        return stat.S_IFREG


def _check_name(files: Files, name: str, entry: os.DirEntry[str]) -> Fault | None:
    """Find an invalid or misplaced name of an artifact's or run's folder."""
    parts = name.split("/")
    if not entry.is_dir():
        return None
    if parts[0] == "artifacts" and len(parts) == 3 and files.exists(f"{name}/manifest.json"):
        if not is_id(parts[2]):
            return _fault(name, "has a name that is not an id", "remove its folder")
        if parts[2][:2] != parts[1]:
            remedy = f"move its folder to artifacts/{parts[2][:2]}, or remove it"
            return _fault(name, f"is in the wrong folder, {parts[1]}", remedy)
    if parts[0] == "runs" and len(parts) == 2 and not is_run_id(parts[1]) and files.exists(f"{name}/started.json"):
        return _fault(name, "has a name that is not a run id", "remove it, or rename it to the id of its run")
    return None


def _fault(name: str, wrong: str, remedy: str) -> Fault:
    return Fault(name, _owner(name), wrong, "hand", remedy=remedy)


def _owner(name: str) -> str:
    """The artifact, run or name that a file inside the lake belongs to, for a message."""
    parts = name.split("/")
    if parts[0] == "artifacts" and len(parts) > 2 and is_id(parts[2]):
        return f"artifact {parts[2][:12]}"
    if parts[0] == "runs" and len(parts) > 1 and is_run_id(parts[1]):
        return f"run {parts[1]}"
    return f"{parts[0]}/{parts[1]}" if parts[0] in NAME_FOLDERS and len(parts) > 1 else parts[0]
