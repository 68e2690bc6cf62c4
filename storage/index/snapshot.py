"""Snapshots: the cached result of reading the index of a large lake, from which the next reader starts.

    <lake>/catalog/snapshot/<time>-<checksum of its head>/
        head.json           the files with rows, which of their rows are ignored, the change times of the lake's folders
        *.npy               the lineage graph: storage/index/graph.py
        rest-<table>.parquet    rows that are in the graph and were in no Delta table
        tail-<table>.parquet    later rows, which are not in the graph
    <lake>/catalog/snapshot/after    a time and its checksum: snapshots begun earlier are invalid, and all are if the
                                     file is damaged

A snapshot is a cache that may be deleted at any time; a reader without one reads the index and the lake's folders. It
is created by one rename and never changed, and the latest one is used. The head contains the checksums of its parts,
which `editflow verify` checks; readers do not, because they map the arrays.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import re
import secrets
import shutil
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

from editflow.storage.errors import ForeignFile
from editflow.storage.files import Files, sync
from editflow.storage.index.graph import Graph
from editflow.storage.json_records import Checked, Count, Id, RunId, read_record

FOLDER = "catalog/snapshot"
FORMAT = 2
_BARRIER = "after"
_NAME = re.compile(r"[0-9]{20}-[0-9a-f]{8}")
_ROWS = re.compile(r"catalog/(artifacts|uses|runs)/[A-Za-z0-9][\w.=-]*\.parquet", re.ASCII)
_OWN = re.compile(r"[a-z_]+\.npy|(rest|tail)-[a-z]+\.parquet")
_File = Annotated[str, Checked(_ROWS.fullmatch, "a file of the index")]
_Part = Annotated[str, Checked(_OWN.fullmatch, "a part of a snapshot")]
_KEEP_NS = 3600 * 10**9
"""Nanoseconds for which an outdated snapshot is kept, for readers that have started with it."""


@dataclass(frozen=True)
class Head:
    """The content of head.json.

    began      when reading the index began, in nanoseconds since 1970
    files      the files of each table, as paths inside the lake
    masked     ids whose rows in these files are ignored
    waiting    ids of folders without a manifest, and of artifacts of unfinished runs
    times      the change times of storage/index/shard_listing.py
    changed    the change time of the folder of runs
    going      runs without an end
    tail       the number of artifacts that are missing from the graph
    parts      the other files of the snapshot, with their checksums
    """

    format: int
    began: int
    files: Mapping[str, list[_File]]
    masked: list[Id]
    waiting: list[Id]
    times: Mapping[str, int]
    changed: int
    going: list[RunId]
    kinds: list[str | None]
    roles: list[str]
    tail: Count
    parts: Mapping[_Part, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Snapshot:
    """A complete snapshot: its folder inside the lake, and its head."""

    folder: str
    head: Head

    def paths(self, files: Files, tables: Iterable[str], part: Literal["rest", "tail"]) -> dict[str, list[str]]:
        """The path of the snapshot's own rows of each index table, in a list that is empty if there are none."""
        names = {table: f"{self.folder}/{part}-{table}.parquet" for table in tables}
        return {table: [files.file_path(name)] if files.exists(name) else [] for table, name in names.items()}

    def graph(self, files: Files) -> Graph:
        """The graph of all its artifacts except the tail. Raises OSError, ValueError."""
        return Graph.load(lambda name: files.file_path(f"{self.folder}/{name}"), self.head.kinds, self.head.roles)

    def link(self, files: Files, folder: Path) -> None:
        """Hard-link everything that does not change when artifacts are added into another folder."""
        for name in files.list(self.folder):
            if name.endswith(".npy") or name.startswith("rest-"):
                os.link(files.file_path(f"{self.folder}/{name}"), folder / name)


def latest(files: Files) -> Snapshot | None:
    """The latest valid snapshot with all its files; None if there is none."""
    for folder, head in _valid_snapshots(files):
        if head and head.format == FORMAT and all(map(files.exists, _required_files(folder, head))):
            return Snapshot(folder, head)
    return None


def damaged_files(files: Files) -> Iterator[str]:
    """The damaged files of valid snapshots. Cost: reads all their files."""
    if _barrier(files) is None:
        yield f"{FOLDER}/{_BARRIER}"
    for folder, head in _valid_snapshots(files):
        if head is None:
            yield f"{folder}/head.json"
        else:
            yield from _damaged_parts(files, folder, head)


def is_intact(files: Files, found: Snapshot) -> bool:
    """Whether all files of a snapshot exist with their checksums. Cost: reads all of them."""
    with contextlib.suppress(OSError):
        return not any(_damaged_parts(files, found.folder, found.head))
    return False


def _damaged_parts(files: Files, folder: str, head: Head) -> Iterator[str]:
    for part, checksum in head.parts.items():
        name = f"{folder}/{part}"
        if (files.size(name) or -1) < 0 or zlib.crc32(files.buffer(name)) != checksum:
            yield name


def _valid_snapshots(files: Files) -> Iterator[tuple[str, Head | None]]:
    """Folder and head (None if damaged) of the snapshots that are not invalidated, latest first.

    Snapshots with a time in the future, from a wrong clock, are skipped: they could not be invalidated, and would stay
    the latest.
    """
    names = list(filter(_NAME.fullmatch, files.list(FOLDER)))
    after, now = _barrier(files) if names else 0, time.time_ns()
    if after is None:
        return
    for name in reversed(names):
        head = _head(files, name)
        if after < (head.began if head else int(name[:20])) <= now:
            yield f"{FOLDER}/{name}", head


def _head(files: Files, name: str) -> Head | None:
    with contextlib.suppress(OSError, ValueError, ForeignFile):
        text = files.read(f"{FOLDER}/{name}/head.json")
        if name.endswith(f"-{zlib.crc32(text):08x}"):
            return read_record(Head, text)
    return None


def _required_files(folder: str, head: Head) -> Iterator[str]:
    yield from (f"{folder}/{part}" for part in head.parts)
    for names in head.files.values():
        yield from names


def write(files: Files, fill: Callable[[Path], Head]) -> None:
    """Write a snapshot, if the lake is writable and the snapshot would be valid.

    ``fill`` writes everything except the head into a folder, and returns the head. Checksums that this head already
    has, of files linked from another snapshot, are not recomputed.
    """
    if _barrier(files) is None:
        return
    parent = Path(files.folder_path(FOLDER))
    draft = parent / f".tmp-{secrets.token_hex(8)}"
    with contextlib.suppress(OSError):
        draft.mkdir(parents=True)
        try:
            head = fill(draft)
            parts = {path.name: head.parts.get(path.name) or _checksum(path) for path in sorted(draft.iterdir())}
            text = json.dumps(asdict(replace(head, parts=parts))).encode()
            (draft / "head.json").write_bytes(text)
            for path in draft.iterdir():
                sync(path)
            draft.rename(parent / f"{time.time_ns():020d}-{zlib.crc32(text):08x}")
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        _remove_outdated(parent)


def invalidate(files: Files) -> None:
    """Invalidate all snapshots begun before now. Raises LakeNotWritable, DiskFull."""
    now = str(time.time_ns()).encode()
    files.put(f"{FOLDER}/{_BARRIER}", b"%b-%08x" % (now, zlib.crc32(now)))


def _barrier(files: Files) -> int | None:
    """The time before which snapshots are invalid, 0 if there is none; None if it is unreadable."""
    try:
        after, _, checksum = files.read(f"{FOLDER}/{_BARRIER}").partition(b"-")
    except (FileNotFoundError, NotADirectoryError):
        return 0
    except OSError:
        return None
    except ForeignFile as error:
        if error.path != files.path(f"{FOLDER}/{_BARRIER}"):
            raise
        return None
    is_valid = b"%08x" % zlib.crc32(after) == checksum and re.fullmatch(rb"[0-9]{1,20}", after)
    return int(after) if is_valid else None


def _checksum(path: Path) -> int:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return zlib.crc32(content)


def _remove_outdated(parent: Path) -> None:
    """Remove snapshots that have been outdated for an hour."""
    names = sorted(path.name for path in parent.iterdir() if path.is_dir() and _NAME.fullmatch(path.name))
    for name, later in pairwise(names):
        if int(later[:20]) < time.time_ns() - _KEEP_NS:
            shutil.rmtree(parent / name, ignore_errors=True)
