"""Loads the index, the artifacts and runs that it does not have yet, and the lineage graph for a query.

For a small lake, the whole index is read and all folders are listed every time. For a large lake, the result is stored
as a snapshot, and the next reader only reads folders that have changed since. Both ways give the same result.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import duckdb
import pyarrow as pa

from editflow.storage.artifacts.identity import parent_pairs
from editflow.storage.artifacts.manifest import Manifest
from editflow.storage.artifacts.store import Lake
from editflow.storage.duckdb_paths import read_parquet
from editflow.storage.index import duckdb_tables, snapshot
from editflow.storage.index.catalog import Catalog
from editflow.storage.index.graph import Graph, NewArtifact
from editflow.storage.index.graph_builder import build_graph
from editflow.storage.index.rows import SCHEMAS, artifact_row, is_final, run_row, unrecorded_uses
from editflow.storage.index.shard_listing import change_time, list_shards, new_and_removed
from editflow.storage.index.snapshot import FORMAT, Head, Snapshot
from editflow.storage.records.runs import RunRecord, Runs

LARGE_INDEX_BYTES = 2 * 2**20
"""A larger index, of about ten thousand artifacts, is not copied into memory."""
SMALL_FILE_BYTES, MAX_SMALL_FILES = 2**16, 100
"""More small files than this are slower to read than the manifests of their rows."""
SNAPSHOT_ERRORS = (duckdb.Error, OSError, ValueError, IndexError)
"""Errors of reading a damaged snapshot; its checksums detect damage that raises no error."""
MIN_CHANGES = 50
"""More late artifacts, runs or changed folders than this justify a new snapshot."""
MAX_TAIL = 2000
"""Maximum artifacts in the tail of a snapshot; with more, each reader would lose more time than a new graph takes."""


def load(
    connection: duckdb.DuckDBPyConnection,
    lake: Lake,
    *,
    whole: bool = False,
    checked: bool = False,
    tables_too: bool = True,
) -> Graph:
    """Create the tables index_<table> of the current lake in a connection; returns the lineage graph.

    `whole` reads every byte of the index into memory, so that damaged rows are replaced from manifests and run records.
    `checked` compares a snapshot with its checksums first. Without `tables_too`, only the tables that the graph needs
    are created. Cost: in a large lake, reading the changes since the latest snapshot; in a small one, or without a
    snapshot, the index and a listing of the lake.
    """
    kept = snapshot.latest(lake.files) if lake.files.local and not whole else None
    reader = _Reader(connection, lake)
    if kept is not None and (not checked or snapshot.is_intact(lake.files, kept)):
        with contextlib.suppress(*SNAPSHOT_ERRORS):
            return reader.read_since(kept, tables_too=tables_too)
    return reader.read_all(whole=whole)


@dataclass
class _Reader:
    """Reads a lake once into one connection."""

    connection: duckdb.DuckDBPyConnection
    lake: Lake
    began: int = field(default_factory=time.time_ns)
    changed: int = 0
    running: list[str] = field(default_factory=list)

    def read_all(self, *, whole: bool = False) -> Graph:
        """Read the index and list the lake. Independent steps run in parallel, because the lake may be large."""
        local = self.lake.files.local
        with ThreadPoolExecutor(1) as executor:
            listing = executor.submit(list_shards, self.lake.files, {})
            sizes = {table: {file: _size(file) for file in Catalog(self.lake).files(table)} for table in SCHEMAS}
            large = local and not whole and sum(sum(by_file.values()) for by_file in sizes.values()) > LARGE_INDEX_BYTES
            chosen = {**sizes, "artifacts": _worth_reading(sizes["artifacts"])} if large else sizes
            files = {table: self._create_delta(table, list(chosen[table]), large) for table in SCHEMAS}
            try:
                graph, repeated = build_graph(self.connection)
            except (duckdb.Error, ValueError):
                files["artifacts"] = self._create_delta("artifacts", [], large)
                graph, repeated = build_graph(self.connection)
            shards = listing.result()
            new, lost = new_and_removed(shards, graph.existing_ids)
            edges = executor.submit(graph.layers[0].sorted)
            missing = graph.missing_parents()  # the index may be newer or older than the listing
            gone = self._removed(graph, [*lost, *missing])
            graph = graph.without([*gone, *repeated])
            manifests, waiting = self._load_manifests({*new, *repeated, *missing} - {*gone})
            gone += (late := self._removed_children(graph, waiting))
            graph = graph.without(late)
            duckdb_tables.create_index(self.connection, {}, masked := [*gone, *repeated])
            records = self._late_runs()
            manifests = self._with_relatives(graph, manifests, records)
            finished, unfinished = self._insert_late(manifests, records, files["uses"], complete=bool(files["uses"]))
        graph = replace(graph, layers=(edges.result(),)).with_artifacts(map(_new_artifact, finished)).merged()
        if local and not whole and (large or len(finished) > MAX_TAIL):
            prefix = f"{self.lake.files.root}/"
            names = {table: [path.removeprefix(prefix) for path in paths] for table, paths in files.items()}
            waiting += [manifest.id for manifest in unfinished]
            head = Head(FORMAT, self.began, names, masked, waiting, shards.times, self.changed, self.running,
                        graph.kinds, graph.roles, 0)  # fmt: skip
            self._write_snapshot("rest", {}, head, graph.save)
        return self._with_unfinished(graph, unfinished)

    def read_since(self, kept: Snapshot, *, tables_too: bool = True) -> Graph:
        """Start from a snapshot and read what has changed since. Creates all tables only if `tables_too`."""
        head, files = kept.head, self.lake.files
        graph = kept.graph(files).with_artifacts(self._read_tail(kept))
        shards = list_shards(files, head.times)
        new, lost = new_and_removed(shards, graph.existing_ids)
        gone = self._removed(graph, lost)
        manifests, waiting = self._load_manifests([*new, *head.waiting])
        gone += self._removed_children(graph, waiting)
        graph = graph.without(gone)
        if head.tail + len(manifests) > MAX_TAIL or len(gone) > MIN_CHANGES:
            return self.read_all()
        if not tables_too and max(len(manifests), len(shards.listed)) <= MIN_CHANGES:
            return graph.with_artifacts(map(_new_artifact, self._with_relatives(graph, manifests, [])))
        paths = {table: [files.file_path(name) for name in head.files.get(table, [])] for table in SCHEMAS}
        for table in SCHEMAS:
            if not duckdb_tables.create_delta(self.connection, table, paths[table], copied=False) and paths[table]:
                return self.read_all()
        rests, tails = kept.paths(files, SCHEMAS, "rest"), kept.paths(files, SCHEMAS, "tail")
        own = {table: [*rests[table], *tails[table]] for table in SCHEMAS}
        duckdb_tables.create_index(self.connection, own, head.masked, gone)
        records = self._late_runs(head)
        manifests = self._with_relatives(graph, manifests, records)
        finished, unfinished = self._insert_late(manifests, records, paths["uses"])
        graph = graph.with_artifacts(map(_new_artifact, finished))
        if not gone and max(len(finished), len(shards.listed), len(records)) > MIN_CHANGES:
            waiting += [manifest.id for manifest in unfinished]
            unchanged = {name: checksum for name, checksum in head.parts.items() if not name.startswith("tail-")}
            later = replace(
                head, waiting=waiting, times=shards.times, changed=self.changed, going=self.running, kinds=graph.kinds,
                roles=graph.roles, tail=head.tail + len(finished), parts=unchanged,
            )  # fmt: skip
            self._write_snapshot("tail", tails, later, lambda folder: kept.link(files, folder))
        return self._with_unfinished(graph, unfinished)

    def _create_delta(self, table: str, files: list[str], large: bool) -> list[str]:
        """Create delta_<table>; returns its files, or none if they are unreadable."""
        if duckdb_tables.create_delta(self.connection, table, files, copied=not large) and (
            not large or table == "artifacts" or duckdb_tables.are_ids_readable(self.connection, table)
        ):
            return files
        duckdb_tables.create_delta(self.connection, table, [], copied=True)
        return []

    def _load_manifests(self, ids: Iterable[str]) -> tuple[list[Manifest], list[str]]:
        """(the manifests of these ids, the ids that have none)."""
        found = {id_: self.lake.load_manifest(id_) for id_ in sorted(ids)}
        return list(filter(None, found.values())), [id_ for id_, manifest in found.items() if manifest is None]

    def _removed(self, graph: Graph, ids: Iterable[str]) -> list[str]:
        """The removed ones of these artifacts, and descendants that were removed after their folder was listed."""
        gone = [id_ for id_ in ids if not self.lake.is_committed(id_)]
        return gone + self._removed_children(graph, gone)

    def _removed_children(self, graph: Graph, ids: Sequence[str]) -> list[str]:
        """The removed descendants of these missing artifacts; children are removed before their parents."""
        gone = list[str]()
        while ids:
            children = {*graph.children(graph.positions(ids))} - {*gone}
            ids = [id_ for id_ in sorted(children) if not self.lake.is_committed(id_)]
            gone += ids
        return gone

    def _with_relatives(self, graph: Graph, manifests: list[Manifest], records: Sequence[RunRecord]) -> list[Manifest]:
        """These artifacts, their ancestors, and the artifacts of ended runs that the graph does not have.

        They were created while folders were listed one after the other. Artifacts that are removed by now are left out.
        """
        found = {manifest.id: manifest for manifest in manifests}
        wanted = {use.artifact for record in records for use in record.uses} | _parents(manifests)
        seen, lost = set[str](found), set[str]()
        while new := sorted(wanted - seen):
            seen.update(new)
            numbers = graph.positions(new)
            unknown = (id_ for id_, n in zip(new, numbers, strict=True) if n < 0 or not graph.kind[n])
            manifests, missing = self._load_manifests(unknown)
            lost.update(missing)
            found |= {manifest.id: manifest for manifest in manifests}
            wanted = _parents(manifests)
        if _parents(found.values()).isdisjoint(lost):
            return list(found.values())
        return [manifest for id_, manifest in found.items() if self.lake.is_committed(id_)]

    def _insert_late(
        self, manifests: list[Manifest], records: Sequence[RunRecord], files: Sequence[str], *, complete: bool = True
    ) -> tuple[list[Manifest], list[Manifest]]:
        """Fill late_<table>, except for artifacts of unfinished runs; returns the (finished, unfinished) artifacts.

        `files` contain the uses that are already read; not `complete`: the table of uses is unreadable.
        """
        running = {record.run_id for record in records if not record.finished_at}
        finished = [manifest for manifest in manifests if manifest.created_by not in running]
        unfinished = [manifest for manifest in manifests if manifest.created_by in running]
        duckdb_tables.insert_late(self.connection, "runs", map(run_row, records))
        duckdb_tables.insert_late(self.connection, "artifacts", map(artifact_row, finished))
        if complete:
            self._insert_late_uses(records, manifests, files)
        else:  # the other two tables do not show which uses are missing
            all_runs = list(Runs(self.lake.files).all())
            duckdb_tables.insert_late(self.connection, "uses", unrecorded_uses(all_runs, self.lake.manifests(), ()))
        return finished, unfinished

    def _late_runs(self, head: Head | None = None) -> list[RunRecord]:
        """The records of runs without an end in the index. The folder of runs is only listed if it has changed."""
        runs, self.changed = Runs(self.lake.files), change_time(self.lake.files, "runs")
        is_same = head is not None and self.changed == head.changed != 0
        names = head.going if head is not None and is_same else self.lake.files.list("runs")
        self.connection.register("names", pa.table({"run_id": pa.array(names, pa.string())}))
        ended_runs = "SELECT DISTINCT run_id FROM index_runs WHERE finished_at IS NOT NULL"
        rows = self.connection.execute(f"FROM names WHERE run_id NOT IN ({ended_runs}) ORDER BY run_id").fetchall()
        self.connection.unregister("names")
        records = [runs.get_or_damaged(run_id) for (run_id,) in rows if runs.is_started(run_id)]
        ended = {record.run_id for record in records if record.finished_at}
        self.running = [run_id for (run_id,) in rows if run_id not in ended]
        return records

    def _insert_late_uses(
        self, records: Sequence[RunRecord], manifests: Sequence[Manifest], files: Sequence[str]
    ) -> None:
        run_ids = sorted({record.run_id for record in records} | {m.created_by for m in manifests if m.created_by})
        if not all(map(is_final, records)):  # only the index has the artifacts that they reused
            newer = sorted({*Catalog(self.lake).files("uses")} - {*files})
            if newer:
                columns = "run_id, artifact, stage, how, seconds"
                sql = f"INSERT INTO late_uses SELECT DISTINCT {columns} FROM {read_parquet(newer)}"  # noqa: S608
                self.connection.execute(f"{sql} WHERE run_id IN (SELECT unnest(?))", [run_ids])
        if run_ids:
            sql = "SELECT DISTINCT run_id, artifact FROM index_uses WHERE run_id IN (SELECT unnest(?))"
            known = set(self.connection.execute(sql, [run_ids]).fetchall())
            duckdb_tables.insert_late(self.connection, "uses", unrecorded_uses(records, manifests, known))

    def _with_unfinished(self, graph: Graph, unfinished: Sequence[Manifest]) -> Graph:
        """Add artifacts of unfinished runs. No snapshot may contain them, because their uses are not final."""
        duckdb_tables.insert_late(self.connection, "artifacts", map(artifact_row, unfinished))
        return graph.with_artifacts(map(_new_artifact, unfinished))

    def _read_tail(self, kept: Snapshot) -> list[NewArtifact]:
        """The artifacts of a snapshot that are not in its graph."""
        files = kept.paths(self.lake.files, ["artifacts"], "tail")["artifacts"]
        if not files:
            return []
        sql = f"SELECT id, kind, seconds, inputs FROM {read_parquet(files)}"  # noqa: S608 - constant names
        rows = self.connection.execute(sql).fetchmany(2 * MAX_TAIL)
        if len(rows) == 2 * MAX_TAIL:
            raise ValueError("the snapshot has more late artifacts than any reader writes")
        return [
            NewArtifact(id_, kind, seconds, [(i["role"], i["artifact"]) for i in inputs])
            for id_, kind, seconds, inputs in rows
        ]

    def _write_snapshot(
        self, part: str, before: Mapping[str, Sequence[str]], head: Head, fill: Callable[[Path], None]
    ) -> None:
        """Write a snapshot: `fill` adds the graph; the rows `before` and the late rows are written as `part`."""

        def write(folder: Path) -> Head:
            fill(folder)
            for table in SCHEMAS:
                path = str(folder / f"{part}-{table}.parquet")
                duckdb_tables.export_rows(self.connection, table, before.get(table, ()), path)
            return head

        with contextlib.suppress(duckdb.Error):  # no space, or no permission
            snapshot.write(self.lake.files, write)


def _parents(manifests: Iterable[Manifest]) -> set[str]:
    return {parent for manifest in manifests for _, parent in parent_pairs(manifest.parents)}


def _new_artifact(manifest: Manifest) -> NewArtifact:
    return NewArtifact(manifest.id, manifest.kind, manifest.seconds, parent_pairs(manifest.parents))


def _worth_reading(sizes: Mapping[str, int]) -> list[str]:
    """The files that are faster to read than the manifests of their rows."""
    small = {file for file, size in sizes.items() if size < SMALL_FILE_BYTES}
    return [file for file in sizes if file not in small or len(small) <= MAX_SMALL_FILES]


def _size(file: str) -> int:
    try:
        return os.stat(file).st_size  # noqa: PTH116 - faster, for ten thousand files
    except OSError:
        return 0
