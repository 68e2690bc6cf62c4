"""Which SQL is allowed: one SELECT over the documented views, decided on DuckDB's parse tree.

Everything is by allow-list: tables are the views and the query's own common table expressions, table functions a short
list, other functions those of storage/queries/sql/functions.txt that DuckDB declares free of side effects. None of
these takes a query, a file, a table's name or a setting, or reveals the machine. The connection itself is locked
as well (storage/queries/query.py): a second fence.
"""

import json
import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files as package_files
from itertools import islice
from typing import Any

import duckdb

from editflow.storage.errors import QueryRefused, first_line
from editflow.storage.index.database import open_database
from editflow.storage.queries.query_limits import PARTS, TEXT

_ALLOWED = frozenset({"unnest", "range", "generate_series", "random"})
_OPERATOR = re.compile(r"\W+|!__postfix|IS (NOT )?DISTINCT FROM")
_WORD = re.compile(r"[A-Za-z_]\w*")


def check(
    connection: duckdb.DuckDBPyConnection, sql: str, views: frozenset[str], ours: frozenset[str]
) -> frozenset[str]:
    """Which ``views`` and functions ``ours`` are named. Raises QueryRefused unless it is one SELECT over such.

    Nothing is executed, and none of them needs to be there.
    """
    if len(sql) > TEXT:
        raise QueryRefused(f"the query has {len(sql):,} characters, more than the {TEXT:,} that are read: shorten it")
    nodes = list(islice(_nodes(_parse(connection, sql)), PARTS + 1))
    if len(nodes) > PARTS:
        raise QueryRefused(f"the query has more than {PARTS:,} parts: write it with fewer terms, columns or rows")
    ctes = {entry["key"].lower() for node in nodes for entry in _cte_entries(node)}
    if ctes and (hidden := ctes & (_relations(connection) - views)):
        # The name would be allowed outside its WITH as well, where it means the system's own table.
        raise QueryRefused(f"{min(hidden)!r} is a name that the system uses; call the WITH query something else")
    tables = views | {name for name in ctes if _WORD.fullmatch(name)}
    functions, asked = _allowed() | ours, set[str]()
    for node in nodes:
        if node.get("type") == "BASE_TABLE":
            name = ".".join(filter(None, (node["catalog_name"], node["schema_name"], node["table_name"])))
            if name.lower() not in tables:
                raise QueryRefused(f"no view {name!r}; the views are {', '.join(sorted(views))}")
            asked.add(str(node["table_name"]).lower())
        elif node.get("type") == "SHOW_REF" and not node.get("query"):
            raise QueryRefused(f"SHOW is not available; the views are {', '.join(sorted(views))}")
        called = node.get("function_name")
        if isinstance(called, str):
            if called.lower() not in functions:
                raise QueryRefused(f"function {called!r} is not available in queries; use SQL without it")
            asked.add(called.lower())
    return (views | ours) & asked


def _parse(connection: duckdb.DuckDBPyConnection, sql: str) -> dict[str, Any]:
    try:
        ((text,),) = connection.execute("SELECT json_serialize_sql(?)", [sql]).fetchall()
    except duckdb.Error as error:
        raise QueryRefused(f"the query cannot be parsed: {first_line(error)}") from error
    try:
        tree: dict[str, Any] = json.loads(text)
    except RecursionError:
        raise QueryRefused("the query is nested too deeply; write it with fewer levels or terms") from None
    if tree["error"]:
        why = str(tree["error_message"]).splitlines()[0]
        if tree.get("error_type") == "not implemented":
            # Of PIVOT, DuckDB makes several statements, and it gives no parse tree of these.
            why = "this is another statement, or uses PIVOT; write GROUP BY with FILTER for PIVOT"
        raise QueryRefused(f"only one SELECT statement can be run here: {why}")
    if len(tree["statements"]) != 1:
        raise QueryRefused(f"only one SELECT statement can be run here, not {len(tree['statements'])}")
    return tree


def _relations(connection: duckdb.DuckDBPyConnection) -> set[str]:
    """The names of all tables and views, DuckDB's own among them."""
    rows = connection.execute(
        "SELECT table_name FROM duckdb_tables() UNION ALL SELECT view_name FROM duckdb_views()"
    ).fetchall()
    return {name.lower() for (name,) in rows}


@cache
def _allowed() -> frozenset[str]:
    """Those of this version of DuckDB, which takes as long to list them as a small query takes."""
    with open_database() as connection:
        return frozenset(allowed(connection))


def allowed(connection: duckdb.DuckDBPyConnection) -> set[str]:
    """The names of functions that a query may call: listed ones without side effects, and the few others."""
    rows = connection.execute(
        "SELECT function_name FROM duckdb_functions() "
        "WHERE function_type IN ('scalar', 'aggregate', 'window', 'macro') "
        "GROUP BY 1 HAVING NOT coalesce(bool_or(has_side_effects), false)"
    ).fetchall()
    listed = _listed()
    return {name for (name,) in rows if name in listed or _OPERATOR.fullmatch(name)} | _ALLOWED


@cache
def _listed() -> frozenset[str]:
    return frozenset(
        package_files("editflow.storage.queries").joinpath("sql", "functions.txt").read_text(encoding="utf-8").split()
    )


def _cte_entries(node: dict[str, Any]) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = node.get("cte_map", {}).get("map", [])
    return entries


def _nodes(tree: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every object of the tree. A list of things to do instead of recursion: depth is up to the stranger."""
    waiting: list[Any] = [tree]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            yield item
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
