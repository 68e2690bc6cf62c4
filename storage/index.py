"""What a query reads: the index, what it lacks by the lake's own files, and who was made from whom.

The index of a small lake is read whole each time, and the lake's folders are listed. What that comes to in a large one
is kept as a snapshot, and the next reader looks only at folders that have changed since. Both tell the same.
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
import numpy as np
import pyarrow as pa

from storage import snapshot, tables
from storage.catalog import SCHEMAS, Catalog, artifact_row, is_final, run_row, unrecorded_uses
from storage.folders import Ids, differences, hexadecimal, look
from storage.graph import Edges, Graph, Later, Numbers
from storage.identity import parent_pairs
from storage.manifest import Manifest
from storage.runs import RunRecord, Runs
from storage.snapshot import FORMAT, Head, Snapshot
from storage.store import Lake

LARGE = 2 * 2**20
"""Bytes of the index's files, those of ten thousand artifacts, from which on they are not copied into memory."""
SMALL, MANY = 2**16, 100
"""More than so many files of fewer bytes are slower to read than the manifests of what is in them."""
FOLD = 50
"""So many late artifacts or runs, or folders to list anew, are worth another snapshot."""
TAIL = 2000
"""What a snapshot's graph may lack; beyond that it costs every reader more than a new graph costs one."""


def load(connection: duckdb.DuckDBPyConnection, lake: Lake, *, whole: bool = False) -> Graph:
    """Give a connection the tables index_<table> of a lake, as they are now; who was made from whom.

    `whole` reads every byte of the index into memory: what is damaged is then told from the lake's own files. Cost: in
    a large lake, a look at what has changed since the latest snapshot; else, or without one, the index and a listing of
    the lake.
    """
    kept = None if whole else _snapshot(lake)
    reader = _Reader(connection, lake)
    if kept is not None:
        with contextlib.suppress(duckdb.Error, OSError, ValueError):  # a part of it is damaged
            return reader.go_on(kept)
    return reader.survey(whole=whole)


def ancestry(connection: duckdb.DuckDBPyConnection, lake: Lake) -> Graph:
    """Who was made from whom, now; the connection gets whatever tables it takes to know."""
    kept = _snapshot(lake)
    reader = _Reader(connection, lake)
    if kept is not None:
        with contextlib.suppress(duckdb.Error, OSError, ValueError):
            return reader.go_on(kept, tables_too=False)
    return reader.survey()


def _snapshot(lake: Lake) -> Snapshot | None:
    return snapshot.newest(lake.files) if lake.files.local else None


@dataclass
class _Reader:
    """One reading of a lake into one connection."""

    connection: duckdb.DuckDBPyConnection
    lake: Lake
    began: int = field(default_factory=time.time_ns)

    def survey(self, *, whole: bool = False) -> Graph:
        """Read the index and list the lake; what can go on beside other work does, for a lake may be large."""
        local = self.lake.files.local
        with ThreadPoolExecutor(1) as beside:
            listing = beside.submit(look, self.lake.files, {})
            sizes = {table: {file: _size(file) for file in Catalog(self.lake).files(table)} for table in SCHEMAS}
            large = local and not whole and sum(sum(held.values()) for held in sizes.values()) > LARGE
            files = {table: self._delta(table, _quick(held) if large and table == "artifacts" else list(held), large)
                     for table, held in sizes.items()}  # fmt: skip
            try:
                graph, repeated = indexed(self.connection)
            except duckdb.Error:
                files["artifacts"] = self._delta("artifacts", [], large)
                graph, repeated = indexed(self.connection)
            new, gone = differences(listing.result(), graph.there)
            ordering = beside.submit(graph.layers[0].sorted)
            made, waiting = self._made([*new, *repeated])
            tables.index(self.connection, {}, masked := [*gone, *repeated])
            ripe, green, _ = self._settled(made, files["uses"], complete=bool(files["uses"]))
        graph = replace(graph, layers=(ordering.result(),))
        graph = graph.without(gone).with_later(list(map(_later, ripe))).merged()
        if local and not whole and (large or len(ripe) > TAIL):
            inside = {table: [self._inside(file) for file in held] for table, held in files.items()}
            waiting += [manifest.id for manifest in green]
            times = listing.result().times
            head = Head(FORMAT, self.began, inside, masked, waiting, times, graph.kinds, graph.roles, 0)
            self._keep("rest", {}, head, graph.save)
        return self._with_green(graph, green)

    def go_on(self, kept: Snapshot, *, tables_too: bool = True) -> Graph:
        """Start from a snapshot, and look at what has changed since."""
        head, files = kept.head, self.lake.files
        graph = kept.graph(files).with_later(self._tail(kept))
        seen = look(files, head.times)
        new, gone = differences(seen, graph.there)
        made, waiting = self._made([*new, *head.waiting])
        if head.tail + len(made) > TAIL or len(gone) > FOLD:
            return self.survey()
        if not tables_too and max(len(made), len(seen.listed)) <= FOLD:
            return graph.with_later(list(map(_later, made))).without(gone)
        held = {table: [files.path(name) for name in names] for table, names in head.files.items()}
        for table in SCHEMAS:
            if not tables.delta(self.connection, table, held[table], copied=False) and held[table]:
                return self.survey()
        rests, tails = kept.own(files, SCHEMAS, "rest"), kept.own(files, SCHEMAS, "tail")
        own = {table: [*rests[table], *tails[table]] for table in SCHEMAS}
        tables.index(self.connection, own, head.masked, gone)
        ripe, green, ended = self._settled(made, held["uses"])
        graph = graph.with_later(list(map(_later, ripe)))
        if not gone and max(len(ripe), len(seen.listed), ended) > FOLD:
            waiting += [manifest.id for manifest in green]
            later = replace(head, waiting=waiting, times=seen.times, kinds=graph.kinds, roles=graph.roles,
                            tail=head.tail + len(ripe))  # fmt: skip
            self._keep("tail", tails, later, lambda folder: kept.link(files, folder))
        return self._with_green(graph, green).without(gone)

    def _delta(self, table: str, files: list[str], large: bool) -> list[str]:
        """delta_<table>; its files, or none where they cannot be read."""
        if tables.delta(self.connection, table, files, copied=not large) and (
            not large or table == "artifacts" or tables.readable(self.connection, table)
        ):
            return files
        tables.delta(self.connection, table, [], copied=True)
        return []

    def _made(self, ids: Iterable[str]) -> tuple[list[Manifest], list[str]]:
        """The manifests under these ids; those that have none yet."""
        found = {id_: self.lake.known(id_) for id_ in ids}
        return [made for made in found.values() if made], [id_ for id_, made in found.items() if made is None]

    def _settled(
        self, made: Sequence[Manifest], files: Sequence[str], *, complete: bool = True
    ) -> tuple[list[Manifest], list[Manifest], int]:
        """Fill late_<table>: (artifacts that are in it, those of unfinished runs, how many runs have ended)."""
        records = self._late_runs()
        unfinished = {record.run_id for record in records if not record.finished_at}
        ripe = [manifest for manifest in made if manifest.created_by not in unfinished]
        green = [manifest for manifest in made if manifest.created_by in unfinished]
        tables.insert(self.connection, "runs", map(run_row, records))
        tables.insert(self.connection, "artifacts", map(artifact_row, ripe))
        if complete:
            self._late_uses(records, made, files)
        else:  # then the other two tables do not tell what is lacking
            everything = list(Runs(self.lake.files).all())
            tables.insert(self.connection, "uses", unrecorded_uses(everything, self.lake.manifests(), ()))
        return ripe, green, len(records) - len(unfinished)

    def _late_runs(self) -> list[RunRecord]:
        """Of the runs that the index does not know to have ended."""
        runs = Runs(self.lake.files)
        self.connection.register("names", pa.table({"run_id": pa.array(self.lake.files.list("runs"), pa.string())}))
        ended = "SELECT run_id FROM index_runs WHERE finished_at IS NOT NULL"
        rows = self.connection.execute(f"FROM names WHERE run_id NOT IN ({ended}) ORDER BY run_id").fetchall()
        self.connection.unregister("names")
        return [runs.listed(run_id) for (run_id,) in rows if runs.is_begun(run_id)]

    def _late_uses(self, records: Sequence[RunRecord], made: Sequence[Manifest], files: Sequence[str]) -> None:
        asked = sorted({record.run_id for record in records} | {m.created_by for m in made if m.created_by})
        if not all(map(is_final, records)):  # only the index knows what they have reused
            newer = sorted({*Catalog(self.lake).files("uses")} - {*files})
            if newer:
                sql = (
                    "INSERT INTO late_uses SELECT DISTINCT run_id, artifact, stage, how, seconds FROM read_parquet($1)"
                )
                self.connection.execute(f"{sql} WHERE run_id IN (SELECT unnest($2))", [newer, asked])
        if asked:
            sql = "SELECT run_id, artifact FROM index_uses WHERE run_id IN (SELECT unnest(?))"
            known = set(self.connection.execute(sql, [asked]).fetchall())
            tables.insert(self.connection, "uses", unrecorded_uses(records, made, known))

    def _with_green(self, graph: Graph, green: Sequence[Manifest]) -> Graph:
        """Add artifacts that no snapshot may hold yet: only when their run has ended is it known what it used."""
        tables.insert(self.connection, "artifacts", map(artifact_row, green))
        return graph.with_later(list(map(_later, green)))

    def _tail(self, kept: Snapshot) -> list[Later]:
        files = kept.own(self.lake.files, ["artifacts"], "tail")["artifacts"]
        if not files:
            return []
        rows = self.connection.execute("SELECT id, kind, seconds, inputs FROM read_parquet(?)", [files]).fetchall()
        return [(id_, kind, took, [(i["role"], i["artifact"]) for i in inputs]) for id_, kind, took, inputs in rows]

    def _keep(self, part: str, before: Mapping[str, Sequence[str]], head: Head, fill: Callable[[Path], None]) -> None:
        def write(folder: Path) -> Head:
            fill(folder)
            for table in SCHEMAS:
                path = str(folder / f"{part}-{table}.parquet")
                tables.export(self.connection, table, before.get(table, ()), path)
            return head

        with contextlib.suppress(duckdb.Error):  # no room, or no permission
            snapshot.keep(self.lake.files, write)

    def _inside(self, path: str) -> str:
        return path.removeprefix(f"{self.lake.files.root}/")


def indexed(connection: duckdb.DuckDBPyConnection) -> tuple[Graph, list[str]]:
    """Who was made from whom by delta_artifacts, edges in no order, and the ids that stand there more than once.

    Of these nothing is told: it is not known which row is right. Cost: a second or two for a million artifacts.
    """
    connection.execute("CREATE OR REPLACE TABLE unseen (id VARCHAR)")
    connection.execute("CREATE OR REPLACE VIEW counted AS SELECT id, kind, seconds, inputs FROM delta_artifacts")
    edges, ids = _numbered(connection)
    repeated = hexadecimal(np.unique(ids[1:][ids[1:] == ids[:-1]]))
    if repeated:
        connection.execute("CREATE OR REPLACE TABLE repeated AS SELECT unnest(?::VARCHAR[]) AS id", [repeated])
        connection.execute("INSERT INTO unseen FROM repeated")
        connection.execute(
            "CREATE OR REPLACE VIEW counted AS SELECT id, kind, seconds, inputs FROM delta_artifacts "
            "WHERE id NOT IN (FROM repeated)"
        )
    if repeated or edges["parent"].null_count:  # parents that are not there get numbers all the same
        connection.execute(
            "INSERT INTO unseen SELECT artifact FROM (SELECT unnest(inputs, recursive := true) FROM counted) "
            "WHERE artifact NOT IN (SELECT id FROM node)"
        )
        edges, ids = _numbered(connection)
    nodes = connection.sql("SELECT kind, seconds FROM node ORDER BY rowid").to_arrow_table()
    connection.execute("DROP TABLE node")
    kind, kinds = _coded(nodes["kind"])
    role, roles = _coded(edges["role"])
    child, parent = (edges[name].to_numpy() for name in ("child", "parent"))
    seconds = np.nan_to_num(nodes["seconds"].to_numpy())
    return Graph(ids, (), kind + 1, seconds, [None, *kinds], roles, (Edges(child, parent, role),)), repeated


def _numbered(connection: duckdb.DuckDBPyConnection) -> tuple[pa.Table, Ids]:
    """The edges by the numbers of their artifacts, row ids in a table `node`, and these in order.

    A parent that is not in it is null.
    """
    connection.execute(
        "CREATE OR REPLACE TABLE node AS SELECT id, kind, seconds FROM counted "
        "UNION ALL BY NAME SELECT DISTINCT id FROM unseen ORDER BY id"
    )
    edges = connection.sql(
        "SELECT c.rowid::INTEGER AS child, p.rowid::INTEGER AS parent, role "
        "FROM (SELECT id, unnest(inputs, recursive := true) FROM counted) i "
        "JOIN node c ON c.id = i.id LEFT JOIN node p ON p.id = i.artifact"
    ).to_arrow_table()
    return edges, _raw(connection.sql("SELECT unhex(id) AS id FROM node ORDER BY rowid").to_arrow_table()["id"])


def _later(manifest: Manifest) -> Later:
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


def _raw(ids: pa.ChunkedArray) -> Ids:
    """A column of 32 bytes each as an array."""
    whole = ids.combine_chunks()
    if not len(whole):
        return np.zeros(0, "S32")
    return np.frombuffer(whole.cast(pa.binary(32)).buffers()[1], "S32")


def _coded(texts: pa.ChunkedArray) -> tuple[Numbers, list[str]]:
    """A column as numbers and the texts that they stand for; -1 for null."""
    coded = texts.combine_chunks().dictionary_encode()
    return coded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype("i4"), coded.dictionary.to_pylist()
