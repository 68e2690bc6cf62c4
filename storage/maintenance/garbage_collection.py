"""Garbage collection that is safe while writers are running.

An artifact is needed if it was touched recently, or if it is upstream of a protected run, the latest value of a name,
a release or a queue's requests. Writers touch the artifacts that they will build on (Lake.touch), so an artifact that
a writer may still use was touched within the last day, or since the oldest running run started.

An artifact is moved aside by one rename before it is removed, and moved back if it was touched in between. Children are
removed before their parents, so every remaining artifact keeps its parents.
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
from editflow.storage.maintenance.retention_policy import RetentionRule, Run
from editflow.storage.queries.views import open_views
from editflow.storage.records.refs import Refs
from editflow.storage.records.runs import Runs
from editflow.storage.records.tombstones import announce_removal, confirm_removal

_ID = re.compile(rb"\b[0-9a-f]{64}\b")
MARGIN = 60
"""Seconds by which the clocks of run records and of files may differ."""


class KindRow(TypedDict):
    """Number and bytes of the artifacts of one kind, in total and unneeded."""

    kind: str
    artifacts: int
    bytes: int
    unneeded: int
    unneeded_bytes: int


@dataclass(frozen=True)
class Census:
    """The artifacts of a lake, and those that the retention policy does not protect.

    ``unneeded`` holds positions in ``graph``, each after all its children. Artifacts touched at or after ``before``
    (seconds since 1970) are needed.
    """

    kinds: Sequence[KindRow]
    graph: Graph
    unneeded: Sequence[int]
    before: float


@explain_read_errors()
def census(lake: Lake, rule: RetentionRule, hours: float) -> Census:
    """Count the artifacts of a lake, and the unneeded ones that were not touched for ``hours``.

    Removal is final and the index may be damaged. Therefore a snapshot is used only if its checksums hold, and the
    record of each protected run is read for what the run used. Cost: reads the index and its whole snapshot; with a
    rule, also the record of each protected run and the file status of each artifact that no run needs.
    """
    now = datetime.now(UTC)
    with open_views(lake, checked=True) as (connection, graph):
        runs = _load_runs(connection, now)
        oldest = min([now - timedelta(hours=hours), *(run.started for run in runs if run.status == "running")])
        before = oldest.timestamp() - MARGIN
        nodes = np.zeros(0, "i4")
        if rule:
            protected = rule.protected_runs(runs, now)
            roots = {
                *_indexed_uses(connection, rule, protected, now),
                *_recorded_uses(lake, protected),
                *_named_artifacts(lake),
                *_parents_by_manifest(lake, graph),
            }
            nodes = _unneeded_nodes(lake, graph, sorted(roots), before)
        kinds = _count_kinds(connection, graph.ids_at(nodes))
    return Census(kinds, graph, _children_first(graph, nodes), before)


def remove(lake: Lake, found: Census) -> list[str]:
    """Remove unneeded artifacts and their index rows; returns the removed ids.

    If killed at any moment, the lake stays valid: folders that were moved aside are orphan files.
    """
    if not found.unneeded:
        return []
    graph, kept, removed = found.graph, set[int](), list[str]()
    announced = announce_removal(lake.files, graph.ids_at(np.array(found.unneeded, "i4")))
    for node in found.unneeded:
        (id_,) = graph.ids_at(np.array([node], "i4"))
        if node in kept:
            continue
        if remove_if_untouched(lake, id_, found.before):
            removed.append(id_)
        else:  # a writer has just touched it, and needs its parents
            kept |= set(graph.walk(np.array([node], "i4"), up=True).far.tolist())
    confirm_removal(lake.files, announced, removed)
    if removed:
        delete_rows(Catalog(lake), removed)
        invalidate(lake.files)
    return removed


def remove_if_untouched(lake: Lake, id_: str, before: float) -> bool:
    """Remove an artifact last touched before a time; false if it was touched since, or is gone."""
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
        _restore_missing_files(aside, folder)  # a writer has begun to create the artifact again
    with contextlib.suppress(FileNotFoundError):  # another gc removed it as an orphan file
        lake.files.remove_folder(f"{folder_name(id_).rpartition('/')[0]}/{aside.name}")
    return not touched


def _restore_missing_files(aside: Path, folder: Path) -> None:
    """Link the files that ``folder`` is missing from the folder that was moved aside, the manifest last."""
    for path in sorted(aside.iterdir(), key=lambda path: path.name == "manifest.json"):
        with contextlib.suppress(FileExistsError):
            os.link(path, folder / path.name)


def _load_runs(connection: duckdb.DuckDBPyConnection, now: datetime) -> list[Run]:
    """All runs. A run whose start is unknown because its record is damaged counts as started now."""
    rows = connection.execute("SELECT run_id, name, status, started_at, finished_at FROM runs").fetchall()
    return [
        Run(id_, name, status, _as_utc(started) or now, _as_utc(finished))
        for id_, name, status, started, finished in rows
        if id_ is not None and name is not None  # null only if the index is damaged
    ]


def _as_utc(value: object) -> datetime | None:
    """A timestamp in UTC; None for null and for text, which DuckDB returns for years that Python cannot represent."""
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) else None


def _indexed_uses(
    connection: duckdb.DuckDBPyConnection, rule: RetentionRule, protected: set[str], now: datetime
) -> set[str]:
    """The artifacts that protected runs created, used or ended with, and recent artifacts that belong to no run.

    The latter are protected for ``rule.days``, or for ever without that rule.
    """
    connection.register("protected", pa.table({"run_id": pa.array(sorted(protected), pa.string())}))
    oldest = now - timedelta(days=rule.days) if rule.days is not None else datetime.min
    rows = connection.execute(
        "SELECT artifact FROM uses SEMI JOIN protected USING (run_id) "
        "UNION SELECT state FROM runs SEMI JOIN protected USING (run_id) WHERE state IS NOT NULL "
        "UNION SELECT id FROM artifacts WHERE created_by IN (FROM protected) "
        "UNION SELECT id FROM artifacts WHERE id NOT IN (SELECT artifact FROM uses) AND created_at >= ? "
        "AND (created_by IS NULL OR created_by NOT IN (SELECT run_id FROM runs))",
        [oldest.replace(tzinfo=None)],
    ).fetchall()
    return {id_ for (id_,) in rows}


def _recorded_uses(lake: Lake, protected: Iterable[str]) -> Iterator[str]:
    """The artifacts that the records of these runs list as used; the index may have lost them."""
    runs = Runs(lake.files)
    for run_id in protected:
        with contextlib.suppress(StorageError):  # the record is missing or damaged
            record = runs.get(run_id)
            yield from (use.artifact for use in record.uses)
            yield from [record.state] if record.state else []


def _parents_by_manifest(lake: Lake, graph: Graph) -> Iterator[str]:
    """The parents, read from the manifests, of artifacts with a parent that is not in the index.

    A damaged index row may name an unknown parent instead of the real one. Cost: a pass over all edges.
    """
    for id_ in graph.children(graph.positions(graph.missing_parents())):
        with contextlib.suppress(StorageError):
            made = lake.load_manifest(id_)
            yield from (parent for _, parent in parent_pairs(made.parents)) if made else ()


def _named_artifacts(lake: Lake) -> set[str]:
    """Every id in the text of the latest value of a ref, and of any version of a release or queue.

    If the latest value is damaged, all earlier values count, because users may go back to one of them.
    """
    files, refs, texts = lake.files, Refs(lake.files), list[bytes]()
    for name in files.list("refs"):
        try:
            refs.get(name)
            texts.append(files.read(refs.file(name, refs.version(name))))
        except (StorageError, ValueError, FileNotFoundError):
            texts += _read_versions(lake, f"refs/{name}")
    for folder in ("releases", "queues"):
        for name in files.list(folder):
            texts += _read_versions(lake, f"{folder}/{name}")
    return {found.decode() for text in texts for found in _ID.findall(text)}


def _read_versions(lake: Lake, folder: str) -> Iterator[bytes]:
    for name in lake.files.list(folder):
        with contextlib.suppress(IsADirectoryError):
            yield lake.files.read(f"{folder}/{name}")


def _unneeded_nodes(lake: Lake, graph: Graph, roots: Sequence[str], before: float) -> Numbers:
    """The artifacts that are upstream neither of ``roots`` nor of an artifact touched at or after ``before``."""
    known = graph.positions(roots)
    needed = graph.walk(known[known >= 0], up=True).depth >= 0
    nodes = np.flatnonzero(~needed & (graph.kind > 0)).astype("i4")
    ids = graph.ids_at(nodes)
    recent = [node for node, id_ in zip(nodes.tolist(), ids, strict=True) if _is_touched_since(lake, id_, before)]
    needed |= graph.walk(np.array(recent, "i4"), up=True).depth >= 0
    unneeded: Numbers = nodes[~needed[nodes]]
    return unneeded


def _is_touched_since(lake: Lake, id_: str, before: float) -> bool:
    try:
        return os.lstat(f"{lake.files.folder_path(folder_name(id_))}/manifest.json").st_mtime >= before
    except FileNotFoundError:
        return False


def _children_first(graph: Graph, nodes: Numbers) -> list[int]:
    selected = np.zeros(len(graph.kind), bool)
    selected[nodes] = True
    order = TopologicalSorter[int](dict.fromkeys(nodes.tolist(), ()))
    for edges in graph.layers:
        inner = selected[edges.child] & selected[edges.parent]
        for child, parent in zip(edges.child[inner].tolist(), edges.parent[inner].tolist(), strict=True):
            order.add(parent, child)
    return list(order.static_order())


def _count_kinds(connection: duckdb.DuckDBPyConnection, unneeded: Sequence[str]) -> list[KindRow]:
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
