"""Reads for a query: the index, artifacts and runs that it does not have yet, and the lineage graph.

The index of a small lake is read whole each time, and the lake's folders are listed. The result for a large one
is kept as a snapshot, and the next reader looks only at folders that have changed since. Both give the same result.
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

LARGE = 2 * 2**20
"""Bytes of the index's files, those of ten thousand artifacts, from which on they are not copied into memory."""
SMALL, MANY = 2**16, 100
"""More than so many files of fewer bytes are slower to read than the manifests of what is in them."""
DAMAGED = (duckdb.Error, OSError, ValueError, IndexError)
"""Errors of reading a damaged snapshot; damage without an error is found by its checksums."""
FOLD = 50
"""So many late artifacts or runs, or folders to list again, are worth another snapshot."""
TAIL = 2000
"""Artifacts that may be missing from a snapshot's graph; with more, each reader pays more than a new graph costs."""


def load(connection: duckdb.DuckDBPyConnection, lake: Lake, *, whole: bool = False, checked: bool = False) -> Graph:
    """Give a connection the tables index_<table> of a lake, for the current lake; returns the lineage graph.

    `whole` reads every byte of the index into memory: damaged rows are then replaced from the lake's own files.
    `checked` compares a snapshot with its checksums first. Cost: in a large lake, a look at what has changed since the
    latest snapshot; else, or without one, the index and a listing of the lake.
    """
    kept = None if whole else _snapshot(lake)
    if kept is not None and checked and not snapshot.is_intact(lake.files, kept):
        kept = None
    reader = _Reader(connection, lake)
    if kept is not None:
        with contextlib.suppress(*DAMAGED):
            return reader.read_since(kept)
    return reader.read_all(whole=whole)


def load_graph(connection: duckdb.DuckDBPyConnection, lake: Lake) -> Graph:
    """The lineage graph of the current lake; the connection gets the tables that this needs."""
    kept = _snapshot(lake)
    reader = _Reader(connection, lake)
    if kept is not None:
        with contextlib.suppress(*DAMAGED):
            return reader.read_since(kept, tables_too=False)
    return reader.read_all()


def _snapshot(lake: Lake) -> Snapshot | None:
    return snapshot.latest(lake.files) if lake.files.local else None


@dataclass
class _Reader:
    """One reading of a lake into one connection."""

    connection: duckdb.DuckDBPyConnection
    lake: Lake
    began: int = field(default_factory=time.time_ns)
    changed: int = 0
    going: list[str] = field(default_factory=list)

    def read_all(self, *, whole: bool = False) -> Graph:
        """Read the index and list the lake; independent steps run in parallel, because a lake may be large."""
        local = self.lake.files.local
        with ThreadPoolExecutor(1) as beside:
            listing = beside.submit(list_shards, self.lake.files, {})
            sizes = {table: {file: _size(file) for file in Catalog(self.lake).files(table)} for table in SCHEMAS}
            large = local and not whole and sum(sum(held.values()) for held in sizes.values()) > LARGE
            files = {table: self._delta(table, _quick(held) if large and table == "artifacts" else list(held), large)
                     for table, held in sizes.items()}  # fmt: skip
            try:
                graph, repeated = build_graph(self.connection)
            except (duckdb.Error, ValueError):
                files["artifacts"] = self._delta("artifacts", [], large)
                graph, repeated = build_graph(self.connection)
            seen = listing.result()
            new, lost = new_and_removed(seen, graph.existing_ids)
            ordering = beside.submit(graph.layers[0].sorted)
            wanting = graph.missing_parents()  # the index may be younger or older than the listing
            gone = self._gone(graph, [*lost, *wanting])
            graph = graph.without([*gone, *repeated])
            made, waiting = self._made({*new, *repeated, *wanting} - {*gone})
            gone += (late := self._orphans(graph, waiting))
            graph = graph.without(late)
            duckdb_tables.create_index(self.connection, {}, masked := [*gone, *repeated])
            records = self._late_runs()
            made = self._closed(graph, made, records)
            ripe, green = self._settled(made, records, files["uses"], complete=bool(files["uses"]))
        graph = replace(graph, layers=(ordering.result(),)).with_artifacts(list(map(_later, ripe))).merged()
        if local and not whole and (large or len(ripe) > TAIL):
            inside = {table: [self._inside(file) for file in held] for table, held in files.items()}
            waiting += [manifest.id for manifest in green]
            head = Head(FORMAT, self.began, inside, masked, waiting, seen.times, self.changed, self.going, graph.kinds,
                        graph.roles, 0)  # fmt: skip
            self._keep("rest", {}, head, graph.save)
        return self._with_unfinished(graph, green)

    def read_since(self, kept: Snapshot, *, tables_too: bool = True) -> Graph:
        """Start from a snapshot, and look at what has changed since."""
        head, files = kept.head, self.lake.files
        graph = kept.graph(files).with_artifacts(self._tail(kept))
        seen = list_shards(files, head.times)
        new, lost = new_and_removed(seen, graph.existing_ids)
        gone = self._gone(graph, lost)
        made, waiting = self._made([*new, *head.waiting])
        gone += self._orphans(graph, waiting)
        graph = graph.without(gone)
        if head.tail + len(made) > TAIL or len(gone) > FOLD:
            return self.read_all()
        if not tables_too and max(len(made), len(seen.listed)) <= FOLD:
            return graph.with_artifacts(list(map(_later, self._closed(graph, made, []))))
        held = {table: [files.file_path(name) for name in head.files.get(table, [])] for table in SCHEMAS}
        for table in SCHEMAS:
            if not duckdb_tables.create_delta(self.connection, table, held[table], copied=False) and held[table]:
                return self.read_all()
        rests, tails = kept.own(files, SCHEMAS, "rest"), kept.own(files, SCHEMAS, "tail")
        own = {table: [*rests[table], *tails[table]] for table in SCHEMAS}
        duckdb_tables.create_index(self.connection, own, head.masked, gone)
        records = self._late_runs(head)
        ripe, green = self._settled(self._closed(graph, made, records), records, held["uses"])
        graph = graph.with_artifacts(list(map(_later, ripe)))
        if not gone and max(len(ripe), len(seen.listed), len(records)) > FOLD:
            waiting += [manifest.id for manifest in green]
            unchanged = {name: checksum for name, checksum in head.parts.items() if not name.startswith("tail-")}
            later = replace(
                head, waiting=waiting, times=seen.times, changed=self.changed, going=self.going, kinds=graph.kinds,
                roles=graph.roles, tail=head.tail + len(ripe), parts=unchanged,
            )  # fmt: skip
            self._keep("tail", tails, later, lambda folder: kept.link(files, folder))
        return self._with_unfinished(graph, green)

    def _delta(self, table: str, files: list[str], large: bool) -> list[str]:
        """delta_<table>; its files, or none where they cannot be read."""
        if duckdb_tables.create_delta(self.connection, table, files, copied=not large) and (
            not large or table == "artifacts" or duckdb_tables.are_ids_readable(self.connection, table)
        ):
            return files
        duckdb_tables.create_delta(self.connection, table, [], copied=True)
        return []

    def _made(self, ids: Iterable[str]) -> tuple[list[Manifest], list[str]]:
        """The manifests under these ids; those that have none yet."""
        found = {id_: self.lake.load_manifest(id_) for id_ in sorted(ids)}
        return [made for made in found.values() if made], [id_ for id_, made in found.items() if made is None]

    def _gone(self, graph: Graph, ids: Iterable[str]) -> list[str]:
        """The artifacts among these that are gone, and those made from them that went after their folder was listed."""
        gone = [id_ for id_ in ids if not self.lake.is_committed(id_)]
        return gone + self._orphans(graph, gone)

    def _orphans(self, graph: Graph, found: Sequence[str]) -> list[str]:
        """Artifacts made from these missing ones that are gone as well: children are removed before their parents."""
        gone = list[str]()
        while found:
            children = {*graph.children(graph.positions(found))} - {*gone}
            found = [id_ for id_ in sorted(children) if not self.lake.is_committed(id_)]
            gone += found
        return gone

    def _closed(self, graph: Graph, made: list[Manifest], records: Sequence[RunRecord]) -> list[Manifest]:
        """These, and artifacts made while folders were listed one after the other that belong to them.

        Those are their parents and the artifacts of runs that have ended. Artifacts that are gone by now are left out.
        """
        found = {manifest.id: manifest for manifest in made}
        wanted = {use.artifact for record in records for use in record.uses} | _parents(made)
        asked, lost = set[str](found), set[str]()
        while unseen := sorted(wanted - asked):
            asked.update(unseen)
            numbers = graph.positions(unseen)
            later, none = self._made(id_ for id_, n in zip(unseen, numbers, strict=True) if n < 0 or not graph.kind[n])
            lost.update(none)
            found |= {manifest.id: manifest for manifest in later}
            wanted = _parents(later)
        if _parents(found.values()).isdisjoint(lost):
            return list(found.values())
        return [manifest for id_, manifest in found.items() if self.lake.is_committed(id_)]

    def _settled(
        self, made: Sequence[Manifest], records: Sequence[RunRecord], files: Sequence[str], *, complete: bool = True
    ) -> tuple[list[Manifest], list[Manifest]]:
        """Fill late_<table>: (artifacts that are in it, those of unfinished runs)."""
        unfinished = {record.run_id for record in records if not record.finished_at}
        ripe = [manifest for manifest in made if manifest.created_by not in unfinished]
        green = [manifest for manifest in made if manifest.created_by in unfinished]
        duckdb_tables.insert_late(self.connection, "runs", map(run_row, records))
        duckdb_tables.insert_late(self.connection, "artifacts", map(artifact_row, ripe))
        if complete:
            self._late_uses(records, made, files)
        else:  # then the other two tables do not show what is missing
            everything = list(Runs(self.lake.files).all())
            duckdb_tables.insert_late(self.connection, "uses", unrecorded_uses(everything, self.lake.manifests(), ()))
        return ripe, green

    def _late_runs(self, head: Head | None = None) -> list[RunRecord]:
        """Records of the runs without an end in the index; their folder is listed if it has changed."""
        runs, self.changed = Runs(self.lake.files), change_time(self.lake.files, "runs")
        same = head is not None and self.changed == head.changed != 0
        names = head.going if head is not None and same else self.lake.files.list("runs")
        self.connection.register("names", pa.table({"run_id": pa.array(names, pa.string())}))
        ended = "SELECT DISTINCT run_id FROM index_runs WHERE finished_at IS NOT NULL"
        rows = self.connection.execute(f"FROM names WHERE run_id NOT IN ({ended}) ORDER BY run_id").fetchall()
        self.connection.unregister("names")
        records = [runs.get_or_damaged(run_id) for (run_id,) in rows if runs.is_started(run_id)]
        over = {record.run_id for record in records if record.finished_at}
        self.going = [run_id for (run_id,) in rows if run_id not in over]
        return records

    def _late_uses(self, records: Sequence[RunRecord], made: Sequence[Manifest], files: Sequence[str]) -> None:
        asked = sorted({record.run_id for record in records} | {m.created_by for m in made if m.created_by})
        if not all(map(is_final, records)):  # only the index knows what they have reused
            newer = sorted({*Catalog(self.lake).files("uses")} - {*files})
            if newer:
                columns = "run_id, artifact, stage, how, seconds"
                sql = f"INSERT INTO late_uses SELECT DISTINCT {columns} FROM {read_parquet(newer)}"  # noqa: S608
                self.connection.execute(f"{sql} WHERE run_id IN (SELECT unnest(?))", [asked])
        if asked:
            sql = "SELECT DISTINCT run_id, artifact FROM index_uses WHERE run_id IN (SELECT unnest(?))"
            known = set(self.connection.execute(sql, [asked]).fetchall())
            duckdb_tables.insert_late(self.connection, "uses", unrecorded_uses(records, made, known))

    def _with_unfinished(self, graph: Graph, green: Sequence[Manifest]) -> Graph:
        """Add artifacts that no snapshot may hold yet: what a run used is known only when it has ended."""
        duckdb_tables.insert_late(self.connection, "artifacts", map(artifact_row, green))
        return graph.with_artifacts(list(map(_later, green)))

    def _tail(self, kept: Snapshot) -> list[NewArtifact]:
        files = kept.own(self.lake.files, ["artifacts"], "tail")["artifacts"]
        if not files:
            return []
        sql = f"SELECT id, kind, seconds, inputs FROM {read_parquet(files)}"  # noqa: S608 - our own names
        rows = self.connection.execute(sql).fetchmany(2 * TAIL)
        if len(rows) == 2 * TAIL:
            raise ValueError("the snapshot has more late artifacts than are ever kept in one")
        return [(id_, kind, took, [(i["role"], i["artifact"]) for i in inputs]) for id_, kind, took, inputs in rows]

    def _keep(self, part: str, before: Mapping[str, Sequence[str]], head: Head, fill: Callable[[Path], None]) -> None:
        def write(folder: Path) -> Head:
            fill(folder)
            for table in SCHEMAS:
                path = str(folder / f"{part}-{table}.parquet")
                duckdb_tables.export_rows(self.connection, table, before.get(table, ()), path)
            return head

        with contextlib.suppress(duckdb.Error):  # no room, or no permission
            snapshot.write(self.lake.files, write)

    def _inside(self, path: str) -> str:
        return path.removeprefix(f"{self.lake.files.root}/")


def _parents(made: Iterable[Manifest]) -> set[str]:
    return {parent for manifest in made for _, parent in parent_pairs(manifest.parents)}


def _later(manifest: Manifest) -> NewArtifact:
    return manifest.id, manifest.kind, manifest.seconds, parent_pairs(manifest.parents)


def _quick(sizes: Mapping[str, int]) -> list[str]:
    """The files that are quicker to read than the manifests of what is in them."""
    small = {file for file, size in sizes.items() if size < SMALL}
    return [file for file in sizes if file not in small or len(small) <= MANY]


def _size(file: str) -> int:
    try:
        return os.stat(file).st_size  # noqa: PTH116 - of ten thousand files
    except OSError:
        return 0
