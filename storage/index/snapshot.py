"""A cached reading of a large lake's index, from which the next reader starts.

    <lake>/catalog/snapshot/<time>-<checksum of its head>/
        head.json           which files hold rows, which of their rows do not count, when the lake's folders had changed
        *.npy               the lineage graph: storage/index/graph.py
        rest-<table>.parquet    rows that no Delta table had then, among the graph's
        tail-<table>.parquet    rows that came later, beside it
    <lake>/catalog/snapshot/after    a time, and its checksum: snapshots begun before it are invalid, and all are if
                                     it is damaged

A snapshot is a copy: it may be deleted at any time; a reader that finds none reads the index and the lake's folders.
It appears by one rename and is never changed; the latest one counts. The head holds the checksums of its parts;
`editflow verify` checks them, and readers, which map the arrays, do not.
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
from editflow.storage.files import Files
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
_KEPT = 3600 * 10**9
"""Nanoseconds for which a snapshot stays when there is a later one, for readers that began with it."""


@dataclass(frozen=True)
class Head:
    """``files`` by table, as paths inside the lake; ``masked`` are ids whose rows there do not count.

    ``began`` is when the index itself was last read, before anything else was, in nanoseconds since 1970; ``waiting``
    are folders without a manifest, ``times`` those of storage/index/shard_listing.py, ``changed`` is that of the folder
    of runs and ``going`` are the runs in it that had no end; ``tail`` counts what is missing from the graph, and
    ``parts`` are the files beside this one with their checksums.
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
    """One that is whole: its folder inside the lake, and its head."""

    folder: str
    head: Head

    def own(self, files: Files, tables: Iterable[str], part: Literal["rest", "tail"]) -> dict[str, list[str]]:
        """The paths of its own rows of each index table."""
        names = {table: f"{self.folder}/{part}-{table}.parquet" for table in tables}
        return {table: [files.file_path(name)] if files.exists(name) else [] for table, name in names.items()}

    def graph(self, files: Files) -> Graph:
        """That of all its artifacts but those in the tail. Raises OSError, ValueError."""
        return Graph.load(lambda name: files.file_path(f"{self.folder}/{name}"), self.head.kinds, self.head.roles)

    def link(self, files: Files, folder: Path) -> None:
        """Give another folder all that does not change when artifacts are added."""
        for name in files.list(self.folder):
            if name.endswith(".npy") or name.startswith("rest-"):
                os.link(files.file_path(f"{self.folder}/{name}"), folder / name)


def latest(files: Files) -> Snapshot | None:
    """The latest one of which everything is there; None where there is none."""
    for folder, head in _counting(files):
        if head and head.format == FORMAT and all(map(files.exists, _needed(folder, head))):
            return Snapshot(folder, head)
    return None


def damaged_files(files: Files) -> Iterator[str]:
    """The files of snapshots that count and do not hold what was written. Cost: a reading of all of them."""
    if _barrier(files) is None:
        yield f"{FOLDER}/{_BARRIER}"
    for folder, head in _counting(files):
        if head is None:
            yield f"{folder}/head.json"
        else:
            yield from _damaged_parts(files, folder, head)


def is_intact(files: Files, found: Snapshot) -> bool:
    """Whether each of its parts is there and what was written. Cost: a reading of all of it."""
    with contextlib.suppress(OSError):
        return not any(_damaged_parts(files, found.folder, found.head))
    return False


def _damaged_parts(files: Files, folder: str, head: Head) -> Iterator[str]:
    for part, checksum in head.parts.items():
        name = f"{folder}/{part}"
        if (files.size(name) or -1) < 0 or zlib.crc32(files.buffer(name)) != checksum:
            yield name


def _counting(files: Files) -> Iterator[tuple[str, Head | None]]:
    """Folder and head (None if damaged) of the snapshots that are not dropped; the latest first.

    One from a clock that is ahead is left out: it could not be dropped, and none would be later.
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


def _needed(folder: str, head: Head) -> Iterator[str]:
    yield from (f"{folder}/{part}" for part in head.parts)
    for held in head.files.values():
        yield from held


def write(files: Files, fill: Callable[[Path], Head]) -> None:
    """Write a snapshot, if the lake can be written to: ``fill`` puts everything but the head into a folder.

    Nothing is written where it would not count. Checksums that its head has already are those of files that another
    snapshot has, too.
    """
    if _barrier(files) is None:
        return
    place = Path(files.folder_path(FOLDER))
    draft = place / f".tmp-{secrets.token_hex(8)}"
    with contextlib.suppress(OSError):
        draft.mkdir(parents=True)
        try:
            head = fill(draft)
            parts = {path.name: head.parts.get(path.name) or _checksum(path) for path in sorted(draft.iterdir())}
            text = json.dumps(asdict(replace(head, parts=parts))).encode()
            (draft / "head.json").write_bytes(text)
            for path in draft.iterdir():
                _sync(path)
            draft.rename(place / f"{time.time_ns():020d}-{zlib.crc32(text):08x}")
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        _clear(place)


def invalidate(files: Files) -> None:
    """Let no snapshot count that was begun before now. Raises LakeNotWritable, DiskFull."""
    at = str(time.time_ns()).encode()
    files.put(f"{FOLDER}/{_BARRIER}", b"%b-%08x" % (at, zlib.crc32(at)))


def _barrier(files: Files) -> int | None:
    """The time before which no snapshot counts, 0 for none; None where that is not known."""
    try:
        at, _, checksum = files.read(f"{FOLDER}/{_BARRIER}").partition(b"-")
    except (FileNotFoundError, NotADirectoryError):
        return 0
    except OSError:
        return None
    except ForeignFile as error:
        if error.path != files.path(f"{FOLDER}/{_BARRIER}"):
            raise
        return None
    is_valid = b"%08x" % zlib.crc32(at) == checksum and re.fullmatch(rb"[0-9]{1,20}", at)
    return int(at) if is_valid else None


def _checksum(path: Path) -> int:
    with path.open("rb") as written, mmap.mmap(written.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return zlib.crc32(content)


def _sync(path: Path) -> None:
    with path.open("rb") as written:
        os.fsync(written.fileno())


def _clear(place: Path) -> None:
    """Remove snapshots that were out of date an hour ago."""
    names = sorted(path.name for path in place.iterdir() if path.is_dir() and _NAME.fullmatch(path.name))
    for name, later in pairwise(names):
        if int(later[:20]) < time.time_ns() - _KEPT:
            shutil.rmtree(place / name, ignore_errors=True)
