"""The lake as SQL: documented views over index and payloads in a locked, in-memory DuckDB.

The index is read as storage/index.py says, and payload views read the lake's Parquet files when asked. Nothing that SQL
says is written. The views' text stands in storage/sql/.
"""

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files as package_files
from itertools import takewhile
from typing import Any, Literal

import duckdb
import numpy as np
import pyarrow as pa

from storage import guard, tables
from storage.catalog import SCHEMAS
from storage.errors import DamagedPayload, QueryRefused
from storage.graph import Graph, Walk
from storage.identity import is_id
from storage.index import ancestry, load
from storage.kinds import kind as kind_named
from storage.manifest import payload_name
from storage.store import Lake
from storage.tables import quoted, type_name

# In the order of their dependence: a view may read those before it.
VIEWS = (
    "artifacts", "edges", "runs", "uses",
    "requests", "states", "edits", "evaluations", "perplexities", "spectra",
    "generations", "text_scores", "drifts", "drift_points", "abilities", "corpus",
)  # fmt: skip
FUNCTIONS = ("upstream", "downstream")
"""Of the beginning of an id: the artifacts above or below, in a SELECT's FROM."""
_PAYLOADS = (
    "requests", "state", "target_values", "evaluation", "perplexity", "spectrum",
    "generations", "text_scores", "drift", "drift_points", "ability", "ability_cases", "documents", "tokens",
)  # fmt: skip
_FEW = 1000
"""So many manifests are read sooner than a column of a large index."""
_UNREADABLE = (duckdb.IOException, duckdb.InvalidInputException)
"""What DuckDB raises of a file that is gone or no Parquet."""
_SHOWN = {"spectrum": ("layer", "i", "eigenvalue")}
"""Of kinds whose columns have changed, those that every version has: a lake keeps the artifacts of all of them."""


@dataclass(frozen=True)
class View:
    """A view's name, what one row of it is, and its columns as (name, DuckDB type)."""

    name: str
    about: str
    columns: tuple[tuple[str, str], ...]


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


def connect(lake: Lake, kinds: Iterable[str] = _PAYLOADS) -> duckdb.DuckDBPyConnection:
    """A connection with all views, locked: the only files it can reach are this lake's artifacts and its index.

    Views over payloads of other ``kinds`` are empty. For SQL of your own writing; that of others goes through
    ``query``, which also keeps COPY from the artifacts.
    """
    connection = _open()
    load(connection, lake)
    _create_views(connection)
    _load_payloads(connection, lake, kinds)
    return _locked(connection, lake)


def query(lake: Lake, sql: str) -> pa.Table:
    """The result of one SELECT over the views; raises QueryRefused, in one line, for anything else."""
    for whole in (False, False, True):
        try:
            return _answer(lake, sql, whole=whole)
        except _UNREADABLE as error:  # a file has gone since it was looked up, or is damaged
            failed = error
    raise QueryRefused(f"the query failed: {guard.first_line(failed)}") from failed


def _answer(lake: Lake, sql: str, *, whole: bool = False) -> pa.Table:
    with opened(lake, whole=whole) as (connection, _):
        asked = guard.check(connection, sql, frozenset(VIEWS), frozenset(FUNCTIONS))
        _load_payloads(connection, lake, {kind for view in asked for kind in _kinds_of(view)})
        try:
            return _locked(connection, lake).sql(sql).to_arrow_table()
        except _UNREADABLE:
            raise
        except duckdb.Error as error:
            raise QueryRefused(f"the query failed: {guard.first_line(error)}") from error


def views() -> tuple[View, ...]:
    """Every view with its description and columns; needs no lake."""
    with _open() as connection:
        for table in SCHEMAS:
            tables.delta(connection, table, [], copied=True)
        tables.index(connection, {})
        _create_views(connection)
        return tuple(
            View(
                name,
                _about(name),
                tuple((row[0], row[1]) for row in connection.execute(f"DESCRIBE {name}").fetchall()),
            )
            for name in VIEWS
        )


def lineage(lake: Lake, id: str, direction: Literal["up", "down"] = "up") -> list[Step]:  # noqa: A002
    """What an artifact (id or prefix) was made from, or what was made from it, one step an edge.

    Ordered by depth; the first step is the artifact itself. Raises UnknownArtifact. Cost: that of the steps.
    """
    start = lake.manifest(id)
    with _open() as connection:
        graph = ancestry(connection, lake)
    walk = graph.walk(graph.numbers([start.id]), up=direction == "up")
    return [Step(0, start.id, start.kind, None, None), *sorted(_steps(graph, walk), key=_in_order)]


def _steps(graph: Graph, walk: Walk) -> Iterable[Step]:
    depths, kinds = walk.depth[walk.far].tolist(), graph.kind[walk.far].tolist()
    far, near = graph.names(walk.far), graph.names(walk.near)
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


def impact(lake: Lake, ids: Sequence[str]) -> Impact:
    """All that stands on these artifacts (whole ids). Cost: one walk down from all of them, and a look at all uses."""
    with _open() as connection:
        graph = load(connection, lake)
        starts = graph.numbers(ids)
        walk = graph.walk(starts[starts >= 0], up=False)
        nodes = np.flatnonzero((walk.depth >= 0) & (graph.kind > 0)).astype("i4")
        found = zip(walk.depth[nodes].tolist(), graph.kind[nodes].tolist(), graph.names(nodes),
                    graph.seconds[nodes].tolist(), strict=True)  # fmt: skip
        artifacts = sorted((depth, str(graph.kinds[kind]), id_, seconds) for depth, kind, id_, seconds in found)
        connection.register("reached", pa.table({"artifact": pa.array([row[2] for row in artifacts], pa.string())}))
        used = connection.execute(
            "SELECT DISTINCT run_id FROM index_uses SEMI JOIN reached USING (artifact) ORDER BY run_id"
        ).fetchall()
    return Impact([(id_, kind, seconds) for _, kind, id_, seconds in artifacts], [row[0] for row in used])


def holders(lake: Lake, columns: Mapping[str, str], begin: str) -> dict[str, list[tuple[str, str]]]:
    """Of each kind, (artifact, value) of the artifacts that have a value in its column which begins with a text.

    Cost: a reading of all payloads of these kinds; the index is not searched for them where they are few.
    """
    with _open() as connection:
        graph = ancestry(connection, lake)
        ids = {kind: graph.of_kind(kind) for kind in columns}
        if sum(map(len, ids.values())) <= _FEW:
            with contextlib.suppress(DamagedPayload):  # of a damaged manifest the index tells
                for kind, some in ids.items():
                    made = filter(None, map(lake.known, some))
                    payloads = [lake.files.found(one.payload) for one in made]
                    _payload_view(connection, kind, list(filter(None, payloads)))
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


def _open() -> duckdb.DuckDBPyConnection:
    """An empty database; SQL names no Python variables and nothing spills to disk."""
    return duckdb.connect(config={"python_enable_replacements": "false", "temp_directory": ""})


@contextlib.contextmanager
def opened(
    lake: Lake, *, whole: bool = False, checked: bool = False
) -> Iterator[tuple[duckdb.DuckDBPyConnection, Graph]]:
    """A connection with all views, those over payloads empty, that is not locked; who was made from whom.

    `whole` and `checked` are those of storage/index.py.
    """
    with _open() as connection:
        graph = load(connection, lake, whole=whole, checked=checked)
        _create_views(connection)
        yield connection, graph


def _locked(connection: duckdb.DuckDBPyConnection, lake: Lake) -> duckdb.DuckDBPyConnection:
    reached = ", ".join(quoted(lake.files.path(f"{folder}/")) for folder in ("artifacts", "catalog"))
    connection.execute(f"SET allowed_directories = [{reached}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def _load_payloads(connection: duckdb.DuckDBPyConnection, lake: Lake, kinds: Iterable[str]) -> None:
    """One view a kind over the payloads that are there."""
    present: dict[str, list[str]] = {kind: [] for kind in kinds}
    if not present:
        return
    sql = "SELECT kind, id, digest FROM index_artifacts WHERE kind IN (SELECT unnest(?)) ORDER BY id"
    for kind, id_, digest in connection.execute(sql, [list(present)]).fetchall():
        path = lake.files.found(payload_name(id_, digest)) if is_id(id_) and is_id(digest) else None
        if path is not None:
            present[kind].append(path)
    for kind, paths in present.items():
        _payload_view(connection, kind, paths)


def _kinds_of(view: str) -> set[str]:
    """The kinds whose payloads a view reads, itself or through another one."""
    words = set(re.findall(r"\w+", "\n".join(line.partition("--")[0] for line in _sql(view).splitlines())))
    inner = [other for other in VIEWS[: VIEWS.index(view)] if other in words]
    return {kind for kind in _PAYLOADS if f"payload_{kind}" in words}.union(*map(_kinds_of, inner))


def _payload_view(connection: duckdb.DuckDBPyConnection, kind: str, paths: Sequence[str]) -> None:
    schema = kind_named(kind).schema
    schema = pa.schema([schema.field(name) for name in _SHOWN.get(kind, schema.names)])
    if paths:
        listed = ", ".join(map(quoted, paths))
        columns = ", ".join(f'"{name}"' for name in schema.names)
        artifact = "regexp_extract(payload_file, '([0-9a-f]{64})/[^/]*$', 1) AS artifact"
        # Columns that were added later are null in older artifacts, also where there are none but these.
        empty = ", ".join(f'NULL::{type_name(field.type)} AS "{field.name}"' for field in schema)
        source = f"read_parquet([{listed}], filename = 'payload_file', union_by_name = true)"
        source = f"(SELECT {empty} FROM range(0) UNION ALL BY NAME SELECT * FROM {source})"  # noqa: S608
    else:
        columns = ", ".join(f'NULL::{type_name(field.type)} AS "{field.name}"' for field in schema)
        artifact, source = "NULL::VARCHAR AS artifact", "range(0)"
    connection.execute(f"CREATE OR REPLACE VIEW payload_{kind} AS SELECT {artifact}, {columns} FROM {source}")  # noqa: S608


def _create_views(connection: duckdb.DuckDBPyConnection) -> None:
    for kind in _PAYLOADS:
        _payload_view(connection, kind, [])
    for name in (*VIEWS, *FUNCTIONS):
        connection.execute(_sql(name))


def _sql(name: str) -> str:
    return package_files("storage").joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")


def _about(name: str) -> str:
    """The comment at the head of a view's file."""
    head = takewhile(lambda line: line.startswith("--"), _sql(name).splitlines())
    return " ".join(line.removeprefix("--").strip() for line in head)
