"""The index as DuckDB tables, assembled from the files that contain its rows.

delta_<table>     the files of the Delta tables: copied into memory, or views of the files in a large lake
late_<table>      rows that a reader has found in manifests and run records
index_<table>     both, and the files of a snapshot, with each artifact once
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

_BATCH_ROWS = 10_000
_FINAL = {
    "artifacts": "",
    "uses": " WHERE run_id NOT IN (SELECT run_id FROM late_runs WHERE finished_at IS NULL)",
    "runs": " WHERE finished_at IS NOT NULL",
}
"""Conditions that select final late rows; rows of unfinished runs may still change."""
_TYPE_NAMES = {
    "string": "VARCHAR", "int32": "INTEGER", "int64": "BIGINT", "float": "FLOAT", "double": "DOUBLE", "bool": "BOOLEAN",
}  # fmt: skip


def create_delta(connection: duckdb.DuckDBPyConnection, table: str, files: Sequence[str], *, copied: bool) -> bool:
    """Create delta_<table> from these files; if there are none or one is damaged, create it empty and return False.

    Unless `copied`, it is a view, and only the first file is opened.
    """
    for kind in ("TABLE", "VIEW"):  # DROP fails for the other type
        with contextlib.suppress(duckdb.CatalogException):
            connection.execute(f"DROP {kind} IF EXISTS delta_{table}")
    if files:
        with contextlib.suppress(duckdb.Error, OSError):
            connection.execute(f"CREATE {'TABLE' if copied else 'VIEW'} delta_{table} AS {_rows(table, files)}")
            return True
    connection.execute(f"CREATE TABLE delta_{table} ({column_declarations(SCHEMAS[table])})")
    return False


def are_ids_readable(connection: duckdb.DuckDBPyConnection, table: str) -> bool:
    """Whether the ids in all files of delta_<table> are readable; other columns may still be damaged."""
    with contextlib.suppress(duckdb.Error):
        sql = f"SELECT max(hash({SCHEMAS[table].names[0]})) FROM delta_{table}"  # noqa: S608 - constant names
        connection.execute(sql).fetchall()
        return True
    return False


def create_index(
    connection: duckdb.DuckDBPyConnection,
    own: Mapping[str, Sequence[str]],
    masked: Sequence[str] = (),
    gone: Sequence[str] = (),
) -> None:
    """Create late_<table>, empty, and index_<table>, which combines it with delta_<table> and the files of a snapshot.

    Rows of `masked` artifacts in delta_<table> are ignored, rows of `gone` artifacts also in the snapshot.
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
    while batch := list(islice(rest, _BATCH_ROWS)):
        connection.register("rows", pa.Table.from_pylist(batch, schema=SCHEMAS[table]))
        connection.execute(f"INSERT INTO late_{table} FROM rows")
        connection.unregister("rows")


def export_rows(connection: duckdb.DuckDBPyConnection, table: str, before: Sequence[str], path: str) -> None:
    """Write the rows of the files `before` and the final rows of late_<table> as one Parquet file."""
    parts = [*([_rows(table, before)] if before else []), f"FROM late_{table}{_FINAL[table]}"]
    connection.execute(f"COPY ({' UNION ALL '.join(parts)}) TO {quote(path)} (FORMAT parquet, COMPRESSION zstd)")


def column_declarations(schema: pa.Schema) -> str:
    """The column declarations of a table in SQL."""
    return ", ".join(f'"{column.name}" {duckdb_type(column.type)}' for column in schema)


def duckdb_type(kind: pa.DataType) -> str:
    """DuckDB's name for an Arrow type that the lake uses."""
    if pa.types.is_list(kind):
        return f"{duckdb_type(kind.value_type)}[]"
    if pa.types.is_struct(kind):
        fields = [kind.field(i) for i in range(kind.num_fields)]
        return f"STRUCT({', '.join(f'{field.name} {duckdb_type(field.type)}' for field in fields)})"
    return _TYPE_NAMES[str(kind)]


def _rows(table: str, files: Sequence[str]) -> str:
    columns = ", ".join(f'"{column.name}"::{duckdb_type(column.type)} AS "{column.name}"' for column in SCHEMAS[table])
    return f"SELECT {columns} FROM {read_parquet(files)}"  # noqa: S608 - constant names
