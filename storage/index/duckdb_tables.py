"""The index as DuckDB tables, assembled from the files that hold their rows.

delta_<table>     the Delta tables' files, copied into memory or, of a large lake, read where they are
late_<table>      rows that a reader found in manifests and run records
index_<table>     these two and a snapshot's own files, each artifact once
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

import duckdb
import pyarrow as pa

from editflow.storage.duckdb_paths import quote, read_parquet
from editflow.storage.index.rows import SCHEMAS

_AT_ONCE = 10_000
_SETTLED = {
    "artifacts": "",
    "uses": " WHERE run_id NOT IN (SELECT run_id FROM late_runs WHERE finished_at IS NULL)",
    "runs": " WHERE finished_at IS NOT NULL",
}
"""Which late rows are final; those of unfinished runs may still change."""


def create_delta(connection: duckdb.DuckDBPyConnection, table: str, files: Sequence[str], *, copied: bool) -> bool:
    """delta_<table> over these files; false, and empty, when there are none, or one is found gone or damaged.

    Unless `copied`, only the first is opened here.
    """
    for kind in ("TABLE", "VIEW"):  # one cannot replace the other
        with contextlib.suppress(duckdb.CatalogException):
            connection.execute(f"DROP {kind} IF EXISTS delta_{table}")
    if files:
        with contextlib.suppress(duckdb.Error, OSError):
            connection.execute(f"CREATE {'TABLE' if copied else 'VIEW'} delta_{table} AS {_rows(table, files)}")
            return True
    connection.execute(f"CREATE TABLE delta_{table} ({column_declarations(SCHEMAS[table])})")
    return False


def are_ids_readable(connection: duckdb.DuckDBPyConnection, table: str) -> bool:
    """Whether the ids in all files of delta_<table> can be read; another column may be damaged still."""
    with contextlib.suppress(duckdb.Error):
        sql = f"SELECT max(hash({SCHEMAS[table].names[0]})) FROM delta_{table}"  # noqa: S608 - our own names
        connection.execute(sql).fetchall()
        return True
    return False


def create_index(
    connection: duckdb.DuckDBPyConnection,
    own: Mapping[str, Sequence[str]],
    masked: Sequence[str] = (),
    gone: Sequence[str] = (),
) -> None:
    """late_<table>, empty, and index_<table> over it, a snapshot's own files and delta_<table>.

    Artifacts that are `masked` do not count in the latter, those that are `gone` in neither.
    """
    for name, ids in {"masked": [*masked, *gone], "gone": gone}.items():
        connection.execute(f"CREATE OR REPLACE TABLE {name} AS SELECT unnest(?::VARCHAR[]) AS id", [list(ids)])
    for table, schema in SCHEMAS.items():
        connection.execute(f"CREATE OR REPLACE TABLE late_{table} ({column_declarations(schema)})")
        parts = [f"FROM delta_{table}", f"FROM late_{table}"]
        if own.get(table):
            parts.append(_rows(table, own[table]))
        if table == "artifacts" and (masked or gone):
            parts[0] += " WHERE id NOT IN (FROM masked)"
            parts[2:] = [f"{part} WHERE id NOT IN (FROM gone)" for part in parts[2:]]
        connection.execute(f"CREATE OR REPLACE VIEW index_{table} AS FROM ({' UNION ALL '.join(parts)})")


def insert_late(connection: duckdb.DuckDBPyConnection, table: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """Add rows to late_<table>."""
    rest = iter(rows)
    while some := list(islice(rest, _AT_ONCE)):
        connection.register("rows", pa.Table.from_pylist(some, schema=SCHEMAS[table]))
        connection.execute(f"INSERT INTO late_{table} FROM rows")
        connection.unregister("rows")


def export_rows(connection: duckdb.DuckDBPyConnection, table: str, before: Sequence[str], path: str) -> None:
    """Write the rows of some files, followed by the final rows of late_<table>, as one Parquet file."""
    parts = [*([_rows(table, before)] if before else []), f"FROM late_{table}{_SETTLED[table]}"]
    connection.execute(f"COPY ({' UNION ALL '.join(parts)}) TO {quote(path)} (FORMAT parquet, COMPRESSION zstd)")


def column_declarations(schema: pa.Schema) -> str:
    """The columns of a table as SQL declares them."""
    return ", ".join(f'"{column.name}" {duckdb_type(column.type)}' for column in schema)


def duckdb_type(kind: pa.DataType) -> str:
    """DuckDB's name of an Arrow type of the lake."""
    if pa.types.is_list(kind):
        return f"{duckdb_type(kind.value_type)}[]"
    if pa.types.is_struct(kind):
        fields = [kind.field(i) for i in range(kind.num_fields)]
        return f"STRUCT({', '.join(f'{field.name} {duckdb_type(field.type)}' for field in fields)})"
    names = {
        "string": "VARCHAR",
        "int32": "INTEGER",
        "int64": "BIGINT",
        "float": "FLOAT",
        "double": "DOUBLE",
        "bool": "BOOLEAN",
    }
    return names[str(kind)]


def _rows(table: str, files: Sequence[str]) -> str:
    columns = ", ".join(f'"{one.name}"::{duckdb_type(one.type)} AS "{one.name}"' for one in SCHEMAS[table])
    return f"SELECT {columns} FROM {read_parquet(files)}"  # noqa: S608 - our own names
