"""What a large lake's index came to when it was last read, kept so that the next reader starts from there.

    <lake>/catalog/snapshot/<time>-<random>/
        head.json           which files hold rows, which of their rows do not count, when the lake's folders had changed
        *.npy               who was made from whom: storage/graph.py
        rest-<table>.parquet    rows that no Delta table had then, among the graph's
        tail-<table>.parquet    rows that came later, beside it
    <lake>/catalog/snapshot/after    a time: what began before it does not count any more

A snapshot is a copy: it may be deleted at any time, and whoever finds none reads the index and the lake's folders.
It appears by one rename and is never changed; the latest one counts.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Literal

from storage.files import Files
from storage.graph import Graph
from storage.records import read_record

FOLDER = "catalog/snapshot"
FORMAT = 1
_BARRIER = "after"
_KEPT = 3600 * 10**9
"""Nanoseconds for which a snapshot stays when there is a later one: a reader that began with it may go on with it."""


@dataclass(frozen=True)
class Head:
    """``files`` by table, as paths inside the lake; ``masked`` are ids whose rows there do not count.

    ``began`` is when the index itself was last read, before anything else was, in nanoseconds since 1970; ``waiting``
    are folders without a manifest, ``times`` those of storage/folders.py, ``tail`` counts what the graph lacks, and
    ``parts`` are the files beside this one.
    """

    format: int
    began: int
    files: Mapping[str, list[str]]
    masked: list[str]
    waiting: list[str]
    times: Mapping[str, int]
    kinds: list[str | None]
    roles: list[str]
    tail: int
    parts: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Snapshot:
    """One that is whole: its folder inside the lake, and its head."""

    folder: str
    head: Head

    def own(self, files: Files, tables: Iterable[str], part: Literal["rest", "tail"]) -> dict[str, list[str]]:
        """The paths of its own rows of each index table."""
        names = {table: f"{self.folder}/{part}-{table}.parquet" for table in tables}
        return {table: [files.path(name)] if files.exists(name) else [] for table, name in names.items()}

    def graph(self, files: Files) -> Graph:
        """That of all its artifacts but those in the tail. Raises OSError, ValueError."""
        return Graph.load(Path(files.path(self.folder)), self.head.kinds, self.head.roles)

    def link(self, files: Files, folder: Path) -> None:
        """Give another folder all that does not change when artifacts are added."""
        for path in Path(files.path(self.folder)).iterdir():
            if path.suffix == ".npy" or path.name.startswith("rest-"):
                os.link(path, folder / path.name)


def newest(files: Files) -> Snapshot | None:
    """The latest one of which everything is there; None where there is none."""
    names = [name for name in files.list(FOLDER) if name != _BARRIER]
    after = _barrier(files) if names else 0
    for name in reversed(names):
        with contextlib.suppress(OSError, ValueError):
            head = read_record(Head, files.read(f"{FOLDER}/{name}/head.json"))
            needed = [f"{FOLDER}/{name}/{part}" for part in head.parts]
            needed += [file for held in head.files.values() for file in held]
            if head.format == FORMAT and head.began > after and all(map(files.exists, needed)):
                return Snapshot(f"{FOLDER}/{name}", head)
    return None


def keep(files: Files, fill: Callable[[Path], Head]) -> None:
    """Write a snapshot, if the lake can be written to: ``fill`` puts everything but the head into a folder."""
    place = Path(files.path(FOLDER))
    draft = place / f".tmp-{secrets.token_hex(8)}"
    with contextlib.suppress(OSError):
        draft.mkdir(parents=True)
        try:
            head = fill(draft)
            head = replace(head, parts=sorted(path.name for path in draft.iterdir()))
            (draft / "head.json").write_text(json.dumps(asdict(head)), encoding="utf-8")
            for path in draft.iterdir():
                _sync(path)
            draft.rename(place / f"{time.time_ns():020d}-{secrets.token_hex(4)}")
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        _clear(place)


def drop(files: Files) -> None:
    """Let no snapshot count that was begun before now. Raises LakeNotWritable, DiskFull."""
    files.put(f"{FOLDER}/{_BARRIER}", str(time.time_ns()).encode())


def _barrier(files: Files) -> int:
    try:
        return int(files.read(f"{FOLDER}/{_BARRIER}"))
    except FileNotFoundError:
        return 0


def _sync(path: Path) -> None:
    with path.open("rb") as written:
        os.fsync(written.fileno())


def _clear(place: Path) -> None:
    """Remove snapshots that were out of date an hour ago."""
    names = sorted(path.name for path in place.iterdir() if path.is_dir() and not path.name.startswith("."))
    for name, later in pairwise(names):
        if int(later.partition("-")[0]) < time.time_ns() - _KEPT:
            shutil.rmtree(place / name, ignore_errors=True)
