"""The SQL views over a lake's index and payloads, created in an in-memory DuckDB that can be locked.

Their definitions are in storage/queries/sql/.
"""

import contextlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files as package_files
from itertools import takewhile
from types import MappingProxyType

import duckdb
import pyarrow as pa

from editflow.storage.artifacts.kinds import kind as kind_named
from editflow.storage.artifacts.manifest import payload_name
from editflow.storage.artifacts.store import Lake
from editflow.storage.duckdb_paths import literal_path, quote, read_parquet
from editflow.storage.index import duckdb_tables
from editflow.storage.index.database import Settings, open_database
from editflow.storage.index.duckdb_tables import duckdb_type
from editflow.storage.index.graph import Graph
from editflow.storage.index.index_reader import load
from editflow.storage.index.rows import SCHEMAS
from editflow.storage.json_records import is_id

# In order of dependence: a view may read only those before it.
VIEWS = (
    "artifacts", "edges", "runs", "uses",
    "requests", "states", "edits", "evaluations", "perplexities", "spectra",
    "generations", "text_scores", "drifts", "drift_points", "abilities", "corpus",
)  # fmt: skip
FUNCTIONS = ("upstream", "downstream")
"""Table macros for FROM: all artifacts upstream or downstream of those whose id starts with a text."""
PAYLOADS = (
    "requests", "state", "target_values", "evaluation", "perplexity", "spectrum",
    "generations", "text_scores", "drift", "drift_points", "ability", "ability_cases", "documents", "tokens",
)  # fmt: skip
_COMMON_COLUMNS = {"spectrum": ("layer", "i", "eigenvalue")}
"""For kinds whose columns have changed: those of every version, because a lake keeps artifacts of all versions."""


@dataclass(frozen=True)
class View:
    """A view's name, the meaning of a row, and the columns as (name, DuckDB type)."""

    name: str
    about: str
    columns: tuple[tuple[str, str], ...]


def views() -> tuple[View, ...]:
    """Describe every view; needs no lake."""
    with open_database() as connection:
        for table in SCHEMAS:
            duckdb_tables.create_delta(connection, table, [], copied=True)
        duckdb_tables.create_index(connection, {})
        create_views(connection)
        return tuple(
            View(name, _description(name), tuple(row[:2] for row in connection.execute(f"DESCRIBE {name}").fetchall()))
            for name in VIEWS
        )


@contextlib.contextmanager
def open_views(
    lake: Lake, names: Iterable[str] = (*VIEWS, *FUNCTIONS), *, whole: bool = False, checked: bool = False,
    settings: Settings = MappingProxyType({}),
) -> Iterator[tuple[duckdb.DuckDBPyConnection, Graph]]:  # fmt: skip
    """An unlocked connection with views and functions, and the lineage graph. Views over payloads are empty.

    `whole` and `checked` are passed to storage/index/index_reader.py.
    """
    with open_database(settings) as connection:
        graph = load(connection, lake, whole=whole, checked=checked)
        create_views(connection, names)
        yield connection, graph


def lock(connection: duckdb.DuckDBPyConnection, lake: Lake) -> duckdb.DuckDBPyConnection:
    """Restrict a connection to the lake's artifacts and index, for good; returns it."""
    folders = ", ".join(quote(literal_path(lake.files.path(f"{folder}/"))) for folder in ("artifacts", "catalog"))
    connection.execute(f"SET allowed_directories = [{folders}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def load_payloads(connection: duckdb.DuckDBPyConnection, lake: Lake, kinds: Iterable[str]) -> None:
    """Create one view per kind over the existing payloads."""
    present: dict[str, list[str]] = {kind: [] for kind in kinds}
    if not present:
        return
    sql = "SELECT kind, id, digest FROM index_artifacts WHERE kind IN (SELECT unnest(?)) ORDER BY id"
    for kind, id_, digest in connection.execute(sql, [list(present)]).fetchall():
        path = lake.files.find(payload_name(id_, digest)) if is_id(id_) and is_id(digest) else None
        if path is not None:
            present[kind].append(path)
    for kind, paths in present.items():
        payload_view(connection, kind, paths)


@cache
def _dependencies(name: str) -> frozenset[str]:
    """A view or function and all views and payload tables that it reads, directly or through other views."""
    words = set(re.findall(r"\w+", "\n".join(line.partition("--")[0] for line in _sql(name).splitlines())))
    inner = [other for other in takewhile(lambda other: other != name, VIEWS) if other in words]
    return frozenset({name, *(words & set(map(_payload_table, PAYLOADS)))}) | _all_dependencies(inner)


def payload_kinds(names: Iterable[str]) -> list[str]:
    """The kinds whose payloads these views and functions read."""
    tables = _all_dependencies(names)
    return [kind for kind in PAYLOADS if _payload_table(kind) in tables]


def _all_dependencies(names: Iterable[str]) -> frozenset[str]:
    return frozenset[str]().union(*map(_dependencies, names))


def _payload_table(kind: str) -> str:
    return f"payload_{kind}"


def payload_view(connection: duckdb.DuckDBPyConnection, kind: str, paths: Sequence[str]) -> None:
    """Create the view over payload files of one kind; without paths, it is empty."""
    schema = kind_named(kind).schema
    schema = pa.schema([schema.field(name) for name in _COMMON_COLUMNS.get(kind, schema.names)])
    if paths:
        columns = ", ".join(f'"{name}"' for name in schema.names)
        artifact = "regexp_extract(payload_file, '([0-9a-f]{64})/[^/]*$', 1) AS artifact"
        # Columns that were added later are null in older artifacts, even if all artifacts are older.
        empty = ", ".join(f'NULL::{duckdb_type(field.type)} AS "{field.name}"' for field in schema)
        source = read_parquet(paths, "filename = 'payload_file'", "union_by_name = true")
        source = f"(SELECT {empty} FROM range(0) UNION ALL BY NAME SELECT * FROM {source})"  # noqa: S608
    else:
        columns = ", ".join(f'NULL::{duckdb_type(field.type)} AS "{field.name}"' for field in schema)
        artifact, source = "NULL::VARCHAR AS artifact", "range(0)"
    try:
        connection.execute(
            f"CREATE OR REPLACE VIEW {_payload_table(kind)} AS SELECT {artifact}, {columns} FROM {source}"  # noqa: S608
        )
    except duckdb.Error as error:
        if type(error) is duckdb.Error:  # a corrupt file whose offsets point outside it; other errors have a subclass
            raise duckdb.IOException(str(error)) from error
        raise


def create_views(connection: duckdb.DuckDBPyConnection, names: Iterable[str] = (*VIEWS, *FUNCTIONS)) -> None:
    """Create views and functions and everything that they read; payload tables are empty."""
    needed = _all_dependencies(names)
    for kind in payload_kinds(names):
        payload_view(connection, kind, [])
    for name in (*VIEWS, *FUNCTIONS):
        if name in needed:
            connection.execute(_sql(name))


def _sql(name: str) -> str:
    return package_files("editflow.storage.queries").joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")


def _description(name: str) -> str:
    """The comment at the head of a view's file."""
    head = takewhile(lambda line: line.startswith("--"), _sql(name).splitlines())
    return " ".join(line.removeprefix("--").strip() for line in head)
