"""No allowed function takes a query, a file, a table's name or a setting, or reveals anything about the machine.

All are called with such texts on an unlocked connection, because the guard must hold without the lock. The control is
a function that was once allowed.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from editflow.storage.artifacts.store import Lake
from editflow.storage.errors import QueryRefused
from editflow.storage.queries.query import query
from editflow.storage.queries.sql_guard import allowed_functions

SECRET = "canary-7d1c"  # noqa: S105 - a value of this test
NEVER = """
json_serialize_plan json_serialize_sql json_deserialize_sql json_execute_serialized_sql query query_table getenv
getvariable current_setting which_secret read_text read_blob read_csv read_csv_auto read_json read_json_auto
read_parquet read_ndjson parquet_scan parquet_metadata parquet_schema glob sniff_csv nextval currval setseed
current_user session_user user current_database current_schema current_schemas current_catalog in_search_path version
txid_current pg_typeof pg_get_viewdef pg_get_expr has_table_privilege col_description obj_description inet_server_addr
duckdb_settings duckdb_secrets duckdb_tables pragma_version write_log sleep_ms pg_sleep error parse_duckdb_log_message
create_sort_key cast_to_type finalize combine seq_scan arrow_scan pandas_scan python_map_function
""".split()
"""Functions that take such a text, execute something, wait, or reveal something about the process and its tables."""
PATTERN = re.compile(r".*(sql|plan|setting|secret|variable|privilege|query|_scan|copy|attach|pragma|sleep|log_).*|"
                     r"(pg|duckdb|read|__|inet|current_(?!date|local))_?.*", re.IGNORECASE)  # fmt: skip


@pytest.fixture(scope="module")
def canary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[duckdb.DuckDBPyConnection, list[str]]]:
    """An unrestricted connection, and texts that lead to a secret in a file, a setting, a variable or a table."""
    folder = tmp_path_factory.mktemp("canary")
    (folder / "secret.csv").write_text(f"a\n{SECRET}\n")
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE hidden AS SELECT '{SECRET}' AS a")
        connection.execute(f"SET VARIABLE hidden = '{SECRET}'")
        connection.execute(f"SET temp_directory = '{folder}/{SECRET}'")
        yield connection, texts(folder / "secret.csv")


def texts(file: Path) -> list[str]:
    """A file, the name of a table and variable, a query that reads a setting and a variable, and a setting."""
    return [str(file), "hidden", "SELECT current_setting('temp_directory') || getvariable('hidden')",
            "temp_directory"]  # fmt: skip


def calls(name: str, text: str) -> Iterator[str]:
    """Calls of a function with a text, alone and with another argument."""
    for arguments in ("$1", "$1, 'x'", "$1, optimize := true"):
        yield f'SELECT "{name}"({arguments.replace("$1", quoted(text))})::VARCHAR'


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def leaks(connection: duckdb.DuckDBPyConnection, name: str, some: list[str]) -> set[str]:
    """The calls whose result contains the secret, although their text does not."""
    found = set()
    for text in some:
        for sql in calls(name, text):
            try:
                answer = connection.execute(sql).fetchall()
            except duckdb.Error:
                continue
            if SECRET in str(answer):
                found.add(sql)
    return found


def function_names(connection: duckdb.DuckDBPyConnection) -> list[str]:
    return sorted(name for name in allowed_functions(connection) if re.fullmatch(r"\w+", name))


def test_no_allowed_function_has_a_suspicious_name() -> None:
    with duckdb.connect() as connection:
        names = function_names(connection)
        existing = {row[0] for row in connection.execute("SELECT function_name FROM duckdb_functions()").fetchall()}
    assert not set(names) & set(NEVER)
    assert not [name for name in names if PATTERN.fullmatch(name)]
    assert len(set(NEVER) & existing) > 40, "the control: this version of DuckDB has them"
    assert len(names) > 400, "ordinary functions are allowed"


def test_no_allowed_function_reads_a_file_a_table_or_a_setting_named_by_a_text(
    canary: tuple[duckdb.DuckDBPyConnection, list[str]],
) -> None:
    connection, some = canary
    for name in function_names(connection):
        assert not leaks(connection, name, some), name


def test_some_functions_that_are_not_allowed_do(canary: tuple[duckdb.DuckDBPyConnection, list[str]]) -> None:
    """The control."""
    connection, some = canary
    assert leaks(connection, "json_serialize_plan", some)
    assert leaks(connection, "current_setting", some)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT json_serialize_plan('SELECT current_setting(''temp_directory'')', optimize := true)",
        "SELECT JSON_SERIALIZE_PLAN('SELECT 1')",
        "SELECT 'SELECT 1'.json_serialize_plan()",
        "SELECT list_transform(['SELECT 1'], lambda x: json_serialize_plan(x))",
        "SELECT json_serialize_sql('SELECT 1')",
        "SELECT json_deserialize_sql(NULL)",
        "SELECT has_table_privilege('runs', 'select')",
        "SELECT in_search_path('memory', 'main')",
        "SELECT count(*) FILTER (WHERE json_serialize_plan('SELECT 1') IS NOT NULL) FROM runs",
    ],
)
def test_a_query_in_a_text_is_refused(sql: str, lake: Lake) -> None:
    with pytest.raises(QueryRefused, match="not available"):
        query(lake, sql)


def test_ordinary_expressions_are_allowed(lake: Lake) -> None:
    """The control: operators, conditions, lists, structs, JSON, times, windows and lambdas."""
    for sql in (
        "SELECT if(1 < 2, 'a' || 'b', NULL), 7 // 2, 7 % 2, 2 ** 3, -1, NOT true, 1 IS DISTINCT FROM 2, 'a' ~ 'b', 5!",
        "SELECT 'abc' SIMILAR TO 'a.*', 'abc' GLOB 'a*', 'a' ILIKE 'A', 'abc'[2:3], [1, 2][1], 3 BETWEEN 1 AND 4",
        "SELECT count(*), count(DISTINCT n), sum(n), list(n ORDER BY n DESC), max_by(n, -n) FROM range(3) t(n)",
        "SELECT list_transform([1, 2], lambda x: x + 1), [x * 2 FOR x IN [1, 2] IF x > 1], list_sum([1])",
        "SELECT '{\"a\": [1]}'::JSON -> 'a' ->> 0, json_extract_string('{\"a\": 1}', '$.a'), to_json([1])",
        "SELECT current_date, now() IS NOT NULL, date_trunc('day', TIMESTAMP '2020-01-01 10:00')",
        "SELECT n, sum(n) OVER (ORDER BY n), lag(n) OVER (ORDER BY n), ntile(2) OVER (ORDER BY n) FROM range(3) t(n)",
        "FROM (UNPIVOT (SELECT 1 AS a, 2 AS b) ON a, b INTO NAME name VALUE value)",
        "SELECT regexp_replace('aa', 'a', 'b', 'g'), printf('%d', 1), format('{}', 1), repeat('-', 3)",
        "SELECT EXTRACT(year FROM DATE '2020-01-01'), CAST('1' AS INT), TRY_CAST('x' AS INT), 'b' COLLATE NOCASE, "
        "row(1, 2), map(['a'], [1])['a'], substring('abc' FROM 2 FOR 1), position('b' IN 'abc'), trim(' a ')",
    ):
        assert query(lake, sql).num_rows > 0, sql
