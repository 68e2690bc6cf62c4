"""SQL over a lake: documented, read-only views over index and payloads in a locked, in-memory DuckDB.

storage/index/index_reader.py reads the index; payload views read the lake's Parquet files when they are used.
storage/queries/views.py creates the views.
"""

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import duckdb
import numpy as np
import pyarrow as pa

from editflow.storage.artifacts.store import Lake
from editflow.storage.errors import DamagedPayload, QueryRefused, first_line
from editflow.storage.index.database import UNREADABLE, explain_read_errors, open_database
from editflow.storage.index.graph import Graph, Walk
from editflow.storage.index.index_reader import load
from editflow.storage.queries import sql_guard
from editflow.storage.queries.query_limits import QueryLimits, RunningQuery, format_bytes, run_within
from editflow.storage.queries.views import (
    FUNCTIONS,
    PAYLOADS,
    VIEWS,
    create_views,
    load_payloads,
    lock,
    open_views,
    payload_kinds,
    payload_view,
)

_MAX_MANIFESTS = 1000
"""Up to so many artifacts, reading their manifests is faster than reading a column of a large index."""
_BATCH_ROWS = 1000
_READ_ERRORS = ("IO Error", "Invalid Input Error")
"""The first words of DuckDB's read errors as raised through Arrow, which has one class for all errors."""


@dataclass(frozen=True)
class Step:
    """One edge of a lineage walk.

    ``id`` was reached from ``via`` and is ``depth`` edges from the start (on the shortest path); ``role`` is the role
    of the edge's parent. The start has depth 0 and neither role nor via.
    """

    depth: int
    id: str
    kind: str
    role: str | None
    via: str | None


@explain_read_errors()
def connect(lake: Lake, kinds: Iterable[str] = PAYLOADS) -> duckdb.DuckDBPyConnection:
    """A locked connection with all views: it can read only files of this lake's artifacts and index.

    Views over payloads of other ``kinds`` are empty. Only for trusted SQL, because COPY could overwrite artifacts; use
    ``query`` for SQL from users.
    """
    connection = open_database()
    load(connection, lake)
    create_views(connection)
    load_payloads(connection, lake, kinds)
    return lock(connection, lake)


def query(lake: Lake, sql: str, limits: QueryLimits | None = None) -> pa.Table:
    """The result of one SELECT over the views.

    Raises QueryRefused, with a message of one line, for any other statement and for a result beyond the limits. Steps
    that DuckDB does not interrupt, such as planning, or one function call on a text of a gigabyte, continue in a thread
    until they end; storage/queries/query_process.py ends them at once.
    """
    limits = limits or QueryLimits()
    result, has_more = first_rows(lake, sql, limits)
    if has_more:
        raise QueryRefused(f"the result has more than {limits.rows:,} rows: add LIMIT, or pass QueryLimits(rows=...)")
    return result


def first_rows(
    lake: Lake, sql: str, limits: QueryLimits, loaded: Callable[[], None] = lambda: None
) -> tuple[pa.Table, bool]:
    """The first ``limits.rows`` rows of a result, and whether it has more. Raises the same errors as `query`.

    `loaded` is called after the lake's index has been read and before the query is.
    """
    return run_within(limits, lambda running: _query_with_retries(lake, sql, limits, running, loaded))


def _query_with_retries(
    lake: Lake, sql: str, limits: QueryLimits, running: RunningQuery, loaded: Callable[[], None]
) -> tuple[pa.Table, bool]:
    for whole in (False, False, True):
        try:
            return _query_once(lake, sql, limits, running, loaded, whole=whole)
        except UNREADABLE as error:  # a file is damaged, or was removed after it was listed
            failed = error
    raise QueryRefused(f"the query failed: {first_line(failed)}") from failed


def _query_once(
    lake: Lake, sql: str, limits: QueryLimits, running: RunningQuery, loaded: Callable[[], None], *, whole: bool
) -> tuple[pa.Table, bool]:
    with open_views(lake, (), whole=whole, settings=limits.settings) as (connection, _):
        running.attach(connection)
        loaded()
        names = sql_guard.check(connection, sql, frozenset(VIEWS), frozenset(FUNCTIONS))
        create_views(connection, names)
        load_payloads(connection, lake, payload_kinds(names))
        try:
            return _fetch(lock(connection, lake).sql(sql), limits)
        except UNREADABLE:
            raise
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            if any(name in str(error).partition(":")[0] for name in _READ_ERRORS):
                raise duckdb.IOException(str(error)) from error
            raise QueryRefused(f"the query failed: {first_line(error)}") from error


def _fetch(result: duckdb.DuckDBPyRelation, limits: QueryLimits) -> tuple[pa.Table, bool]:
    """The first rows of a result, fetched in batches, and whether there are more."""
    batches, rows, size = list[pa.RecordBatch](), 0, 0
    with result.to_arrow_reader(_BATCH_ROWS) as reader:
        for batch in reader:
            batches.append(batch.slice(0, limits.rows - rows))
            rows, size = rows + batch.num_rows, size + batch.nbytes
            if size > limits.bytes:
                raise QueryRefused(
                    f"the result's first {rows:,} rows have more than {format_bytes(limits.bytes)}: select fewer rows "
                    "or columns, or parts of long lists and texts"
                )
            if rows > limits.rows:
                break
        return pa.Table.from_batches(batches, reader.schema), rows > limits.rows


@explain_read_errors()
def lineage(lake: Lake, id: str, direction: Literal["up", "down"] = "up") -> list[Step]:  # noqa: A002
    """Everything that an artifact (id or prefix) was made from, or that was made from it: one step per edge.

    Sorted by depth; the first step is the artifact itself. Raises UnknownArtifact. Cost: proportional to the steps.
    """
    start = lake.manifest(id)
    with open_database() as connection:
        graph = load(connection, lake, tables_too=False)
    walk = graph.walk(graph.positions([start.id]), up=direction == "up")
    steps = sorted(_steps(graph, walk), key=lambda step: (step.depth, step.role, step.id, step.via))
    return [Step(0, start.id, start.kind, None, None), *steps]


def _steps(graph: Graph, walk: Walk) -> Iterable[Step]:
    depths, kinds = walk.depth[walk.far].tolist(), graph.kind[walk.far].tolist()
    far, near = graph.ids_at(walk.far), graph.ids_at(walk.near)
    for depth, id_, kind, role, via in zip(depths, far, kinds, walk.role.tolist(), near, strict=True):
        yield Step(depth, id_, graph.kinds[kind], graph.roles[role], via)


@dataclass(frozen=True)
class Impact:
    """Some artifacts and everything made from them: (id, kind, seconds that creating it took), nearest first.

    ``runs`` are the ids of the runs that created or reused any of these.
    """

    artifacts: Sequence[tuple[str, str, float]]
    runs: Sequence[str]


@explain_read_errors()
def impact(lake: Lake, ids: Sequence[str]) -> Impact:
    """Everything that depends on these artifacts (full ids). Cost: one walk down from all, and a scan of all uses."""
    with open_database() as connection:
        graph = load(connection, lake)
        starts = graph.positions(ids)
        walk = graph.walk(starts[starts >= 0], up=False)
        nodes = np.flatnonzero((walk.depth >= 0) & (graph.kind > 0)).astype("i4")
        found = zip(walk.depth[nodes].tolist(), graph.kind[nodes].tolist(), graph.ids_at(nodes),
                    graph.seconds[nodes].tolist(), strict=True)  # fmt: skip
        artifacts = sorted((depth, str(graph.kinds[kind]), id_, seconds) for depth, kind, id_, seconds in found)
        connection.register("reached", pa.table({"artifact": pa.array([row[2] for row in artifacts], pa.string())}))
        used = connection.execute(
            "SELECT DISTINCT run_id FROM index_uses SEMI JOIN reached USING (artifact) ORDER BY run_id"
        ).fetchall()
    return Impact([(id_, kind, seconds) for _, kind, id_, seconds in artifacts], [row[0] for row in used])


@explain_read_errors()
def find_values(lake: Lake, columns: Mapping[str, str], prefix: str) -> dict[str, list[tuple[str, str]]]:
    """For each kind, the (artifact, value) pairs whose value, in the column given for the kind, starts with a prefix.

    Cost: reads that column of all payloads of these kinds; locates few artifacts by their manifests, many by the index.
    """
    with open_database() as connection:
        graph = load(connection, lake, tables_too=False)
        ids_by_kind = {kind: graph.of_kind(kind) for kind in columns}
        if sum(map(len, ids_by_kind.values())) <= _MAX_MANIFESTS:
            with contextlib.suppress(DamagedPayload):  # a damaged manifest: use the index
                for kind, ids in ids_by_kind.items():
                    manifests = filter(None, map(lake.load_manifest, ids))
                    payloads = [lake.files.find(manifest.payload) for manifest in manifests]
                    payload_view(connection, kind, list(filter(None, payloads)))
                return _select_values(connection, columns, prefix)
    with connect(lake, columns) as connection:
        return _select_values(connection, columns, prefix)


def _select_values(
    connection: duckdb.DuckDBPyConnection, columns: Mapping[str, str], prefix: str
) -> dict[str, list[tuple[str, str]]]:
    found = {}
    for kind, column in columns.items():
        source = f"SELECT DISTINCT artifact, {column} FROM payload_{kind}"  # noqa: S608 - not from users
        found[kind] = connection.execute(f"{source} WHERE starts_with({column}, ?) ORDER BY ALL", [prefix]).fetchall()
    return found
