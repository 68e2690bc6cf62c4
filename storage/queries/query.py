"""The lake as SQL: documented views over index and payloads in a locked, in-memory DuckDB.

The index is read by storage/index/index_reader.py, and payload views read the lake's Parquet files when used.
SQL never writes. The views are made in storage/queries/views.py.
"""

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import duckdb
import numpy as np
import pyarrow as pa

from editflow.storage.artifacts.store import Lake
from editflow.storage.errors import DamagedPayload, QueryRefused, first_line
from editflow.storage.index.database import UNREADABLE, explain_read_errors, open_database
from editflow.storage.index.graph import Graph, Walk
from editflow.storage.index.index_reader import load
from editflow.storage.queries import sql_guard
from editflow.storage.queries.query_limits import Limits, Work, size, within
from editflow.storage.queries.views import (
    FUNCTIONS,
    PAYLOADS,
    VIEWS,
    View,
    create_views,
    kinds_of,
    load_payloads,
    locked,
    opened,
    payload_view,
    views,
)

__all__ = ["VIEWS", "Impact", "Step", "View", "connect", "first_rows", "holders", "impact", "lineage", "opened",
           "query", "views"]  # fmt: skip

_FEW = 1000
"""So many manifests are read sooner than a column of a large index."""
_AT_ONCE = 1000
"""Rows that are taken from a result at a time."""
_READING = ("IO Error", "Invalid Input Error")
"""The first words of the same errors from Arrow, which has one class for all of them."""


@dataclass(frozen=True)
class Step:
    """One edge of a lineage walk.

    ``id`` was reached after ``depth`` edges (the shortest way) from ``via``; ``role`` is that of the parent
    in the edge. The start has depth 0 and neither role nor via.
    """

    depth: int
    id: str
    kind: str
    role: str | None
    via: str | None


@explain_read_errors()
def connect(lake: Lake, kinds: Iterable[str] = PAYLOADS) -> duckdb.DuckDBPyConnection:
    """A connection with all views, locked: the only files it can reach are this lake's artifacts and its index.

    Views over payloads of other ``kinds`` are empty. For SQL of your own writing; that of others goes through
    ``query``, which also keeps COPY from the artifacts.
    """
    connection = open_database()
    load(connection, lake)
    create_views(connection)
    load_payloads(connection, lake, kinds)
    return locked(connection, lake)


def query(lake: Lake, sql: str, limits: Limits | None = None) -> pa.Table:
    """The result of one SELECT over the views; raises QueryRefused, in one line, for anything else.

    So it does for a result beyond the limits. A step that DuckDB does not interrupt, such as planning or one call of a
    function on a text of a gigabyte, continues in a thread until it ends; storage/queries/query_process.py ends it at
    once.
    """
    limits = limits or Limits()
    result, more = first_rows(lake, sql, limits)
    if more:
        raise QueryRefused(
            f"the result has more than {limits.rows:,} rows: add LIMIT, or ask with Limits(rows=...) for more"
        )
    return result


def first_rows(
    lake: Lake, sql: str, limits: Limits, loaded: Callable[[], None] = lambda: None
) -> tuple[pa.Table, bool]:
    """The first rows of a result, as many as the limits have, and whether it has more; else as `query`.

    `loaded` is called once the lake's index is read, before the query is.
    """
    return within(limits, lambda work: _tried(lake, sql, limits, work, loaded))


def _tried(lake: Lake, sql: str, limits: Limits, work: Work, loaded: Callable[[], None]) -> tuple[pa.Table, bool]:
    for whole in (False, False, True):
        try:
            return _answer(lake, sql, limits, work, loaded, whole=whole)
        except UNREADABLE as error:  # a file has gone since it was looked up, or is damaged
            failed = error
    raise QueryRefused(f"the query failed: {first_line(failed)}") from failed


def _answer(
    lake: Lake, sql: str, limits: Limits, work: Work, loaded: Callable[[], None], *, whole: bool
) -> tuple[pa.Table, bool]:
    with opened(lake, (), whole=whole, settings=limits.settings) as (connection, _):
        work.interruptible(connection)
        loaded()
        asked = sql_guard.check(connection, sql, frozenset(VIEWS), frozenset(FUNCTIONS))
        create_views(connection, asked)
        load_payloads(connection, lake, kinds_of(asked))
        try:
            return _taken(locked(connection, lake).sql(sql), limits)
        except UNREADABLE:
            raise
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            if any(name in str(error).partition(":")[0] for name in _READING):
                raise duckdb.IOException(str(error)) from error
            raise QueryRefused(f"the query failed: {first_line(error)}") from error


def _taken(result: duckdb.DuckDBPyRelation, limits: Limits) -> tuple[pa.Table, bool]:
    """The first rows of a result, read a few at a time; whether there are more."""
    kept, rows, held = list[pa.RecordBatch](), 0, 0
    with result.to_arrow_reader(_AT_ONCE) as reader:
        for batch in reader:
            kept.append(batch.slice(0, limits.rows - rows))
            rows, held = rows + batch.num_rows, held + batch.nbytes
            if held > limits.bytes:
                raise QueryRefused(
                    f"the result's first {rows:,} rows have more than {size(limits.bytes)}: ask for fewer rows or "
                    "columns, or for parts of long lists and texts"
                )
            if rows > limits.rows:
                break
        return pa.Table.from_batches(kept, reader.schema), rows > limits.rows


@explain_read_errors()
def lineage(lake: Lake, id: str, direction: Literal["up", "down"] = "up") -> list[Step]:  # noqa: A002
    """What an artifact (id or prefix) was made from, or what was made from it, one step an edge.

    Ordered by depth; the first step is the artifact itself. Raises UnknownArtifact. Cost: that of the steps.
    """
    start = lake.manifest(id)
    with open_database() as connection:
        graph = load(connection, lake, tables_too=False)
    walk = graph.walk(graph.positions([start.id]), up=direction == "up")
    return [Step(0, start.id, start.kind, None, None), *sorted(_steps(graph, walk), key=_in_order)]


def _steps(graph: Graph, walk: Walk) -> Iterable[Step]:
    depths, kinds = walk.depth[walk.far].tolist(), graph.kind[walk.far].tolist()
    far, near = graph.ids_at(walk.far), graph.ids_at(walk.near)
    for depth, id_, kind, role, via in zip(depths, far, kinds, walk.role.tolist(), near, strict=True):
        yield Step(depth, id_, graph.kinds[kind], graph.roles[role], via)


def _in_order(step: Step) -> tuple[Any, ...]:
    return step.depth, step.role, step.id, step.via


@dataclass(frozen=True)
class Impact:
    """What was made from some artifacts, these among it: (id, kind, seconds that making it took), nearest first.

    ``runs`` are the ids of those that made or reused any of it.
    """

    artifacts: Sequence[tuple[str, str, float]]
    runs: Sequence[str]


@explain_read_errors()
def impact(lake: Lake, ids: Sequence[str]) -> Impact:
    """All that depends on these artifacts (whole ids). Cost: one walk down from all of them, and a look at all uses."""
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
def holders(lake: Lake, columns: Mapping[str, str], begin: str) -> dict[str, list[tuple[str, str]]]:
    """Of each kind, (artifact, value) of the artifacts that have a value in its column which begins with a text.

    Cost: a reading of all payloads of these kinds; the index is not searched for them where they are few.
    """
    with open_database() as connection:
        graph = load(connection, lake, tables_too=False)
        ids = {kind: graph.of_kind(kind) for kind in columns}
        if sum(map(len, ids.values())) <= _FEW:
            with contextlib.suppress(DamagedPayload):  # of a damaged manifest the index tells
                for kind, some in ids.items():
                    made = filter(None, map(lake.load_manifest, some))
                    payloads = [lake.files.find(one.payload) for one in made]
                    payload_view(connection, kind, list(filter(None, payloads)))
                return _holding(connection, columns, begin)
    with connect(lake, columns) as connection:
        return _holding(connection, columns, begin)


def _holding(
    connection: duckdb.DuckDBPyConnection, columns: Mapping[str, str], begin: str
) -> dict[str, list[tuple[str, str]]]:
    found = {}
    for kind, column in columns.items():
        source = f"SELECT DISTINCT artifact, {column} FROM payload_{kind}"  # noqa: S608 - names of our own
        found[kind] = connection.execute(f"{source} WHERE starts_with({column}, ?) ORDER BY ALL", [begin]).fetchall()
    return found
