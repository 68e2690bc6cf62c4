"""The lake as SQL: documented views over index and payloads in a locked, in-memory DuckDB.

The index is loaded into memory, what it lacks is added from manifests and run records, and payload views read
the lake's Parquet files when asked. Nothing is written. The views' text stands in storage/sql/.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files as package_files
from itertools import takewhile
from typing import Any, Literal

import duckdb
import pyarrow as pa

from storage import guard
from storage.catalog import SCHEMAS, Catalog, artifact_row, run_row, unrecorded_uses
from storage.errors import QueryRefused
from storage.kinds import kind as kind_named
from storage.manifest import payload_name
from storage.runs import Runs
from storage.store import Lake

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


def connect(lake: Lake) -> duckdb.DuckDBPyConnection:
    """A connection with all views, locked: the only files it can reach are this lake's artifacts.

    For SQL of your own writing. That of others goes through ``query``, which also keeps COPY from the artifacts.
    """
    connection = _open()
    _load_index(connection, lake)
    _load_payloads(connection, lake)
    _create_views(connection)
    return _locked(connection, lake)


def query(lake: Lake, sql: str) -> pa.Table:
    """The result of one SELECT over the views; raises QueryRefused, in one line, for anything else."""
    with connect(lake) as connection:
        guard.check(connection, sql, frozenset(VIEWS), frozenset(FUNCTIONS))
        try:
            return connection.sql(sql).to_arrow_table()
        except duckdb.Error as error:
            raise QueryRefused(f"the query failed: {guard.first_line(error)}") from error


def views() -> tuple[View, ...]:
    """Every view with its description and columns; needs no lake."""
    with _open() as connection:
        for kind in _PAYLOADS:
            _payload_view(connection, kind, [])
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

    Ordered by depth; the first step is the artifact itself. Raises UnknownArtifact.
    """
    start = lake.manifest(id)
    with _open() as connection:
        _load_index(connection, lake)
        for name in ("artifacts", "edges"):
            connection.execute(_sql(name))
        rows = connection.execute(_sql("lineage"), {"start": start.id, "up": direction == "up"}).fetchall()
    return [Step(0, start.id, start.kind, None, None), *(Step(*row) for row in rows)]


@dataclass(frozen=True)
class Impact:
    """What was made from some artifacts, these among it: (id, kind, seconds that making it took), nearest first.

    ``runs`` are the ids of those that made or reused any of it.
    """

    artifacts: Sequence[tuple[str, str, float]]
    runs: Sequence[str]


def impact(lake: Lake, ids: Sequence[str]) -> Impact:
    """All that stands on these artifacts (whole ids). Cost: the index, and one walk down from all of them at once."""
    with _open() as connection:
        _load_index(connection, lake)
        for name in ("artifacts", "edges", "uses"):
            connection.execute(_sql(name))
        # A table of parameters' making cannot be prepared, so the start is one of its own.
        connection.execute("CREATE TABLE starts AS SELECT unnest($ids::VARCHAR[]) AS id", {"ids": list(ids)})
        connection.execute(f"CREATE TABLE reached AS {_sql('impact')}")
        artifacts = connection.execute("SELECT id, kind, seconds FROM reached ORDER BY depth, kind, id").fetchall()
        used = connection.execute(
            "SELECT DISTINCT run_id FROM uses SEMI JOIN reached ON reached.id = uses.artifact ORDER BY run_id"
        ).fetchall()
    return Impact([(row[0], row[1], row[2]) for row in artifacts], [row[0] for row in used])


def holders(lake: Lake, kind: str, column: str, begin: str) -> list[tuple[str, str]]:
    """(artifact, value) of the artifacts of a kind that have a value in a column which begins with a text."""
    with connect(lake) as connection:
        source = f"SELECT DISTINCT artifact, {column} FROM payload_{kind}"  # noqa: S608 - names of our own
        rows = connection.execute(f"{source} WHERE starts_with({column}, ?) ORDER BY ALL", [begin]).fetchall()
    return [(row[0], row[1]) for row in rows]


def _open() -> duckdb.DuckDBPyConnection:
    """An empty database with the index tables; SQL names no Python variables and nothing spills to disk."""
    connection = duckdb.connect(config={"python_enable_replacements": "false", "temp_directory": ""})
    for table, schema in SCHEMAS.items():
        columns = ", ".join(f"{field.name} {_type(field.type)}" for field in schema)
        connection.execute(f"CREATE TABLE index_{table} ({columns})")
    return connection


def _locked(connection: duckdb.DuckDBPyConnection, lake: Lake) -> duckdb.DuckDBPyConnection:
    connection.execute(f"SET allowed_directories = [{_quoted(lake.files.path('artifacts/'))}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def _load_index(connection: duckdb.DuckDBPyConnection, lake: Lake) -> None:
    """The index as it is on disk, then what it lacks, and every run that it does not know to have ended."""
    catalog = Catalog(lake)
    loaded = {table for table in SCHEMAS if _load_table(connection, table, catalog.files(table))}
    known = {row[0] for row in connection.execute("SELECT id FROM index_artifacts").fetchall()}
    late = [lake.manifest(id_) for id_ in lake.ids() if id_ not in known and lake.is_committed(id_)]
    _insert(connection, "artifacts", [artifact_row(manifest) for manifest in late])
    ended = connection.execute("SELECT run_id FROM index_runs WHERE finished_at IS NOT NULL").fetchall()
    runs = Runs(lake.files)
    unsettled = [runs.listed(run_id) for run_id in sorted(set(runs.ids()) - {row[0] for row in ended})]
    _insert(connection, "runs", [run_row(record) for record in unsettled])
    if "uses" in loaded:
        used = connection.execute("SELECT run_id, artifact FROM index_uses").fetchall()
        _insert(connection, "uses", unrecorded_uses(unsettled, late, set(used)))
    else:  # then the other two tables do not tell what is lacking
        _insert(connection, "uses", unrecorded_uses(list(runs.all()), lake.manifests(), ()))


def _load_table(connection: duckdb.DuckDBPyConnection, table: str, files: Sequence[str]) -> bool:
    """Load a table of the index; false when it is absent, or a file of it is gone or damaged."""
    if not files:
        return False
    columns = ", ".join(SCHEMAS[table].names)
    sql = f"INSERT INTO index_{table} SELECT {columns} FROM read_parquet(?)"  # noqa: S608 - our own names
    try:
        connection.execute(sql, [files])
    except duckdb.Error:
        return False
    return True


def _insert(connection: duckdb.DuckDBPyConnection, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        connection.register("late_rows", pa.Table.from_pylist(list(rows), schema=SCHEMAS[table]))
        connection.execute(f"INSERT INTO index_{table} SELECT * FROM late_rows")  # noqa: S608 - our own names
        connection.unregister("late_rows")


def _load_payloads(connection: duckdb.DuckDBPyConnection, lake: Lake) -> None:
    """One view a kind over the payloads that are there."""
    rows = connection.execute("SELECT DISTINCT kind, id, digest FROM index_artifacts ORDER BY id").fetchall()
    present: dict[str, list[str]] = {kind: [] for kind in _PAYLOADS}
    for kind, id_, digest in rows:
        if kind in present and lake.files.exists(payload_name(id_, digest)):
            present[kind].append(lake.files.path(payload_name(id_, digest)))
    for kind, paths in present.items():
        _payload_view(connection, kind, paths)


def _payload_view(connection: duckdb.DuckDBPyConnection, kind: str, paths: Sequence[str]) -> None:
    schema = kind_named(kind).schema
    schema = pa.schema([schema.field(name) for name in _SHOWN.get(kind, schema.names)])
    if paths:
        listed = ", ".join(map(_quoted, paths))
        columns = ", ".join(f'"{name}"' for name in schema.names)
        artifact = "regexp_extract(payload_file, '([0-9a-f]{64})/[^/]*$', 1) AS artifact"
        # Columns that were added later are null in older artifacts, also where there are none but these.
        empty = ", ".join(f'NULL::{_type(field.type)} AS "{field.name}"' for field in schema)
        source = f"read_parquet([{listed}], filename = 'payload_file', union_by_name = true)"
        source = f"(SELECT {empty} FROM range(0) UNION ALL BY NAME SELECT * FROM {source})"  # noqa: S608
    else:
        columns = ", ".join(f'NULL::{_type(field.type)} AS "{field.name}"' for field in schema)
        artifact, source = "NULL::VARCHAR AS artifact", "range(0)"
    connection.execute(f"CREATE VIEW payload_{kind} AS SELECT {artifact}, {columns} FROM {source}")  # noqa: S608


def _create_views(connection: duckdb.DuckDBPyConnection) -> None:
    for name in (*VIEWS, *FUNCTIONS):
        connection.execute(_sql(name))


def _sql(name: str) -> str:
    return package_files("storage").joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")


def _about(name: str) -> str:
    """The comment at the head of a view's file."""
    head = takewhile(lambda line: line.startswith("--"), _sql(name).splitlines())
    return " ".join(line.removeprefix("--").strip() for line in head)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _type(kind: pa.DataType) -> str:
    """DuckDB's name of an Arrow type of the archive."""
    if pa.types.is_list(kind):
        return f"{_type(kind.value_type)}[]"
    if pa.types.is_struct(kind):
        fields = [kind.field(i) for i in range(kind.num_fields)]
        return f"STRUCT({', '.join(f'{field.name} {_type(field.type)}' for field in fields)})"
    names = {
        "string": "VARCHAR",
        "int32": "INTEGER",
        "int64": "BIGINT",
        "float": "FLOAT",
        "double": "DOUBLE",
        "bool": "BOOLEAN",
    }
    return names[str(kind)]
