"""Which SQL is allowed: one SELECT over the documented views, decided on DuckDB's parse tree.

Everything is allow-listed. Tables: the views and the query's own common table expressions. Table functions: a short
list. Other functions: those in storage/queries/sql/functions.txt that DuckDB declares free of side effects. None of
them takes a query, a file, a table's name or a setting, or reveals anything about the machine. The locked connection
(storage/queries/query.py) is the second line of defence.
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
from editflow.storage.queries.query_limits import MAX_CHARACTERS, MAX_NODES

_EXTRA_FUNCTIONS = frozenset({"unnest", "range", "generate_series", "random"})
"""Table functions, and `random`, which DuckDB declares to have side effects."""
_OPERATOR = re.compile(r"\W+|!__postfix|IS (NOT )?DISTINCT FROM")
_WORD = re.compile(r"[A-Za-z_]\w*")


def check(
    connection: duckdb.DuckDBPyConnection, sql: str, views: frozenset[str], macros: frozenset[str]
) -> frozenset[str]:
    """The ``views`` and the lake's ``macros`` that a query uses. Raises QueryRefused unless it is one allowed SELECT.

    Nothing is executed; the views and macros need not exist.
    """
    if len(sql) > MAX_CHARACTERS:
        raise QueryRefused(f"the query has {len(sql):,} characters, more than {MAX_CHARACTERS:,}: shorten it")
    nodes = list(islice(_nodes(_parse(connection, sql)), MAX_NODES + 1))
    if len(nodes) > MAX_NODES:
        raise QueryRefused(f"the query has more than {MAX_NODES:,} parts: write it with fewer terms, columns or rows")
    ctes = {entry["key"].lower() for node in nodes for entry in node.get("cte_map", {}).get("map", [])}
    if ctes and (hidden := ctes & (_relations(connection) - views)):
        # The name would also be allowed outside its WITH, where it means the system's table.
        raise QueryRefused(f"{min(hidden)!r} is a name that the system uses: rename the WITH query")
    tables = views | {name for name in ctes if _WORD.fullmatch(name)}
    functions, used = _all_allowed_functions() | macros, set[str]()
    for node in nodes:
        if node.get("type") == "BASE_TABLE":
            name = ".".join(filter(None, (node["catalog_name"], node["schema_name"], node["table_name"])))
            if name.lower() not in tables:
                raise QueryRefused(f"no view {name!r}; the views are {', '.join(sorted(views))}")
            used.add(str(node["table_name"]).lower())
        elif node.get("type") == "SHOW_REF" and not node.get("query"):
            raise QueryRefused(f"SHOW is not available; the views are {', '.join(sorted(views))}")
        function = node.get("function_name")
        if isinstance(function, str):
            if function.lower() not in functions:
                raise QueryRefused(f"function {function!r} is not available in queries; use SQL without it")
            used.add(function.lower())
    return (views | macros) & used


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
            # DuckDB splits PIVOT into several statements and gives no parse tree for them.
            why = "this is another statement, or uses PIVOT; replace PIVOT by GROUP BY with FILTER"
        raise QueryRefused(f"only one SELECT statement can be run here: {why}")
    if len(tree["statements"]) != 1:
        raise QueryRefused(f"only one SELECT statement can be run here, not {len(tree['statements'])}")
    return tree


def _relations(connection: duckdb.DuckDBPyConnection) -> set[str]:
    """The names of all tables and views, including DuckDB's own."""
    rows = connection.execute(
        "SELECT table_name FROM duckdb_tables() UNION ALL SELECT view_name FROM duckdb_views()"
    ).fetchall()
    return {name.lower() for (name,) in rows}


@cache
def _all_allowed_functions() -> frozenset[str]:
    """The allowed functions of this version of DuckDB; cached because listing takes as long as a small query."""
    with open_database() as connection:
        return frozenset(allowed_functions(connection))


def allowed_functions(connection: duckdb.DuckDBPyConnection) -> set[str]:
    """The functions that a query may call: listed ones without side effects, operators, and the table functions."""
    rows = connection.execute(
        "SELECT function_name FROM duckdb_functions() "
        "WHERE function_type IN ('scalar', 'aggregate', 'window', 'macro') "
        "GROUP BY 1 HAVING NOT coalesce(bool_or(has_side_effects), false)"
    ).fetchall()
    file = package_files("editflow.storage.queries").joinpath("sql", "functions.txt")
    listed = frozenset(file.read_text(encoding="utf-8").split())
    return {name for (name,) in rows if name in listed or _OPERATOR.fullmatch(name)} | _EXTRA_FUNCTIONS


def _nodes(tree: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every object of the tree. Iterative, because an untrusted query may be nested arbitrarily deep."""
    stack: list[Any] = [tree]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            yield item
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
