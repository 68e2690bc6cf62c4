"""Garbage collection that is safe while writers are running.

What is needed: everything upstream of a protected run, a name's latest value, a release, or a queue's requests, and
what was touched recently. Writers touch what they will build on (Lake.touch), so an artifact that they could still use
is younger than a day, or than the oldest running run. An artifact is moved aside by one rename before it is removed,
and put back if it was touched after all. Children go before their parents, so that no artifact is left without its
parents.
"""

from __future__ import annotations

import contextlib
import os
import re
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TypedDict

import duckdb
import numpy as np
import pyarrow as pa

from editflow.storage.artifacts.identity import parent_pairs
from editflow.storage.artifacts.manifest import folder_name
from editflow.storage.artifacts.store import Lake
from editflow.storage.errors import StorageError
from editflow.storage.index.catalog import Catalog
from editflow.storage.index.compaction import delete_rows
from editflow.storage.index.database import explain_read_errors
from editflow.storage.index.graph import Graph, Numbers
from editflow.storage.index.snapshot import invalidate
from editflow.storage.maintenance.retention_policy import Rule, Run
from editflow.storage.queries.query import opened
from editflow.storage.records.refs import Refs
from editflow.storage.records.runs import Runs
from editflow.storage.records.tombstones import announce_removal, confirm_removal

_ID = re.compile(rb"\b[0-9a-f]{64}\b")
MARGIN = 60
"""Seconds by which the times of a run's record and of files may differ."""


class KindRow(TypedDict):
    """The artifacts of a kind in a lake, and those of them that are not needed."""

    kind: str
    artifacts: int
    bytes: int
    unneeded: int
    unneeded_bytes: int


@dataclass(frozen=True)
class Census:
    """The artifacts of a lake, and those that no rule protects.

    ``kinds`` have kind, artifacts, bytes, and how many artifacts and bytes of these are not needed; ``unneeded`` are
    the numbers of the latter in ``graph``, each after all that were made from it; ``before`` is the time, in seconds
    since 1970, after which a touched artifact is needed.
    """

    kinds: Sequence[KindRow]
    graph: Graph
    unneeded: Sequence[int]
    before: float


@explain_read_errors()
def census(lake: Lake, rule: Rule, hours: float) -> Census:
    """Count a lake, and the unneeded artifacts in it that were not touched for so many hours.

    The index may be damaged, and nothing brings back what is removed: a snapshot counts only if its checksums hold, and
    a run that is kept is asked itself what it used. Cost: the index, a reading of its snapshot, and with a rule the
    files of each kept run and a look at the file of each artifact that no run needs.
    """
    now = datetime.now(UTC)
    with opened(lake, checked=True) as (connection, graph):
        runs = _runs(connection, now)
        oldest = min([now - timedelta(hours=hours), *(run.started for run in runs if run.status == "running")])
        before = oldest.timestamp() - MARGIN
        nodes = np.zeros(0, "i4")
        if rule:
            kept = rule.kept(runs, now)
            roots = {*_used(connection, rule, kept, now), *_recorded(lake, kept), *_named(lake), *_torn(lake, graph)}
            nodes = _unneeded(lake, graph, sorted(roots), before)
        kinds = _counted(connection, graph.ids_at(nodes))
    return Census(kinds, graph, _children_first(graph, nodes), before)


def remove(lake: Lake, found: Census) -> list[str]:
    """Remove unneeded artifacts and their index rows; returns the removed ids. Killed at any moment, it leaves a
    valid lake: what was moved aside and not removed is an orphan file."""
    if not found.unneeded:
        return []
    graph, kept, gone = found.graph, set[int](), list[str]()
    announced = announce_removal(lake.files, graph.ids_at(np.array(found.unneeded, "i4")))
    for node in found.unneeded:
        (id_,) = graph.ids_at(np.array([node], "i4"))
        if node in kept:
            continue
        if take(lake, id_, found.before):
            gone.append(id_)
        else:  # a writer has just touched it, and needs its parents
            kept |= set(graph.walk(np.array([node], "i4"), up=True).far.tolist())
    confirm_removal(lake.files, announced, gone)
    if gone:
        delete_rows(Catalog(lake), gone)
        invalidate(lake.files)
    return gone


def take(lake: Lake, id_: str, before: float) -> bool:
    """Remove an artifact that was not touched since a time; false when it was, or is gone."""
    folder = Path(lake.files.folder_path(folder_name(id_)))
    aside = folder.with_name(f".tmp-{uuid.uuid4().hex}")
    try:
        if (folder / "manifest.json").lstat().st_mtime >= before:
            return False
        folder.rename(aside)
        touched = (aside / "manifest.json").lstat().st_mtime >= before
    except FileNotFoundError:
        return False
    if touched:
        with contextlib.suppress(OSError):
            aside.rename(folder)
            return False
        _filled(folder, aside)  # a writer has begun to create it again in its place
    with contextlib.suppress(FileNotFoundError):  # another cleaner removes it as an orphan file
        lake.files.remove_folder(f"{folder_name(id_).rpartition('/')[0]}/{aside.name}")
    return not touched


def _filled(folder: Path, aside: Path) -> None:
    """Put the missing files back into a folder from the one moved aside, the manifest last."""
    for path in sorted(aside.iterdir(), key=lambda path: path.name == "manifest.json"):
        with contextlib.suppress(FileExistsError):
            os.link(path, folder / path.name)


def _runs(connection: duckdb.DuckDBPyConnection, now: datetime) -> list[Run]:
    """All runs; the start of a run whose record is damaged is unknown, so it counts as new.

    A time that Python has no value for, such as of the year 290000, comes as a text: it is none either.
    """
    rows = connection.execute("SELECT run_id, name, status, started_at, finished_at FROM runs").fetchall()
    return [
        Run(id_, name, status, _moment(began) or now, _moment(ended))
        for id_, name, status, began, ended in rows
        if id_ is not None and name is not None  # else the index is damaged, and the row has no owner
    ]


def _moment(value: object) -> datetime | None:
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) else None


def _used(connection: duckdb.DuckDBPyConnection, rule: Rule, kept: set[str], now: datetime) -> set[str]:
    """The artifacts that these runs made, used or ended with, and those that no run names.

    The latter are kept for as many days as runs are, or for ever.
    """
    connection.register("kept", pa.table({"run_id": pa.array(sorted(kept), pa.string())}))
    oldest = now - timedelta(days=rule.days) if rule.days is not None else datetime.min
    rows = connection.execute(
        "SELECT artifact FROM uses SEMI JOIN kept USING (run_id) "
        "UNION SELECT state FROM runs SEMI JOIN kept USING (run_id) WHERE state IS NOT NULL "
        "UNION SELECT id FROM artifacts WHERE created_by IN (FROM kept) "
        "UNION SELECT id FROM artifacts WHERE id NOT IN (SELECT artifact FROM uses) AND created_at >= ? "
        "AND (created_by IS NULL OR created_by NOT IN (SELECT run_id FROM runs))",
        [oldest.replace(tzinfo=None)],
    ).fetchall()
    return {id_ for (id_,) in rows}


def _recorded(lake: Lake, kept: Iterable[str]) -> Iterator[str]:
    """The artifacts that the records of these runs list as used; the index may have lost them."""
    runs = Runs(lake.files)
    for run_id in kept:
        with contextlib.suppress(StorageError):  # the index alone may know of it, or its record is damaged
            record = runs.get(run_id)
            yield from (use.artifact for use in record.uses)
            yield from [record.state] if record.state else []


def _torn(lake: Lake, graph: Graph) -> Iterator[str]:
    """What artifacts were made from by their manifests, of those with a parent that is not there by the index.

    A damaged one names an unknown parent, and not the one that is needed. Cost: a pass over all edges.
    """
    for id_ in graph.children(graph.positions(graph.missing_parents())):
        with contextlib.suppress(StorageError):
            made = lake.load_manifest(id_)
            yield from (parent for _, parent in parent_pairs(made.parents)) if made else ()


def _named(lake: Lake) -> set[str]:
    """The artifacts that the latest value of a name contains, or any release or queue, anywhere in its text.

    If the latest value is damaged, all earlier values count, because users may go back to one of them.
    """
    files, refs, texts = lake.files, Refs(lake.files), list[bytes]()
    for name in files.list("refs"):
        try:
            refs.get(name)
            texts.append(files.read(refs.file(name, refs.version(name))))
        except (StorageError, ValueError, FileNotFoundError):
            texts += _texts(lake, f"refs/{name}")
    for folder in ("releases", "queues"):
        for name in files.list(folder):
            texts += _texts(lake, f"{folder}/{name}")
    return {found.decode() for text in texts for found in _ID.findall(text)}


def _texts(lake: Lake, folder: str) -> Iterator[bytes]:
    for name in lake.files.list(folder):
        with contextlib.suppress(IsADirectoryError):
            yield lake.files.read(f"{folder}/{name}")


def _unneeded(lake: Lake, graph: Graph, roots: Sequence[str], before: float) -> Numbers:
    """The artifacts that are neither upstream of these nor touched since."""
    known = graph.positions(roots)
    needed = graph.walk(known[known >= 0], up=True).depth >= 0
    nodes = np.flatnonzero(~needed & (graph.kind > 0)).astype("i4")
    young = [node for node, id_ in zip(nodes.tolist(), graph.ids_at(nodes), strict=True) if _touched(lake, id_, before)]
    needed |= graph.walk(np.array(young, "i4"), up=True).depth >= 0
    unneeded: Numbers = nodes[~needed[nodes]]
    return unneeded


def _touched(lake: Lake, id_: str, before: float) -> bool:
    try:
        return os.lstat(f"{lake.files.folder_path(folder_name(id_))}/manifest.json").st_mtime >= before
    except FileNotFoundError:
        return False


def _children_first(graph: Graph, nodes: Numbers) -> list[int]:
    there = np.zeros(len(graph.kind), bool)
    there[nodes] = True
    order = TopologicalSorter[int](dict.fromkeys(nodes.tolist(), ()))
    for edges in graph.layers:
        among = there[edges.child] & there[edges.parent]
        for child, parent in zip(edges.child[among].tolist(), edges.parent[among].tolist(), strict=True):
            order.add(parent, child)
    return list(order.static_order())


def _counted(connection: duckdb.DuckDBPyConnection, unneeded: Sequence[str]) -> list[KindRow]:
    connection.register("unneeded", pa.table({"id": pa.array(unneeded, pa.string())}))
    rows = connection.execute(
        "SELECT kind, count(*), sum(bytes)::BIGINT, count(u.id), "
        "coalesce(sum(bytes) FILTER (WHERE u.id IS NOT NULL), 0)::BIGINT "
        "FROM artifacts a LEFT JOIN unneeded u ON u.id = a.id GROUP BY kind ORDER BY 3 DESC, kind"
    ).fetchall()
    return [
        KindRow(kind=kind, artifacts=artifacts, bytes=size, unneeded=left, unneeded_bytes=left_size)
        for kind, artifacts, size, left, left_size in rows
    ]
