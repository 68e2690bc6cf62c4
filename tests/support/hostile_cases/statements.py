"""SQL statements: documented queries with one change, and forbidden statements."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from random import Random

from support.hostile_cases.case import Ask, Setting, command
from support.hostile_cases.values import TEXTS

DOCUMENT = Path(__file__).parents[3] / "docs" / "queries.md"
TOKEN = re.compile(r"'(?:[^']|'')*'|\w+|\s+|[^\w\s]")
READERS = ("read_text", "read_blob", "read_csv", "read_csv_auto", "sniff_csv", "read_json", "read_json_auto",
    "read_ndjson_objects",
           "read_json_objects", "read_parquet", "parquet_scan", "parquet_metadata", "parquet_schema",
           "parquet_file_metadata",
           "parquet_kv_metadata", "parquet_bloom_probe", "glob", "delta_scan", "iceberg_scan", "st_read",
           "sqlite_scan", "postgres_scan")  # fmt: skip
CALLS = (
    "getenv('EDITFLOW_CANARY_SECRET')", "current_setting('temp_directory')", "current_setting('home_directory')",
    "duckdb_settings()",
    "duckdb_secrets()", "duckdb_databases()", "duckdb_extensions()", "duckdb_logs()", "pragma_storage_info('x')",
    "query('SELECT 1')",
    "query_table('runs')", "json_execute_serialized_sql('x')", "json_serialize_sql('SELECT 1')",
    "which_secret('s3://x', 's3')",
    "json_serialize_plan('SELECT current_setting(''temp_directory'')', optimize := true)", "checkpoint()",
    "force_checkpoint()", "test_all_types()",
    "current_database()", "version()", "pg_sleep(1)", "sleep_ms(1000)", "in_search_path('a','b')", "enable_logging()",
    "write_log('x')",
    "getvariable('x')", "nextval('x')", "setseed(0.5)", "repeat('a', 1000000000)", "range(1000000000000)",
    "generate_series(1, 100000000000)",
    "summary((SELECT 1))", "icu_sort_key('a','b')", "error('x')", "add_parquet_key('a','b')", "shell('id')",
    "system('id')",
)  # fmt: skip
WHOLE = (
    "COPY (SELECT 1) TO '{out}/planted.csv'", "COPY runs TO '{out}/planted.parquet' (FORMAT parquet)",
    "EXPORT DATABASE '{out}/planted'",
    "ATTACH '{out}/planted.db'", "ATTACH '{out}/planted.db' AS x; SELECT 1", "INSTALL httpfs", "LOAD httpfs",
    "INSTALL '{out}/x.duckdb_extension'",
    "SET temp_directory = '{out}/planted'", "PRAGMA database_list", "PRAGMA enable_profiling='json'",
    "SET profiling_output='{out}/planted'",
    "CREATE TABLE x AS SELECT 1", "CREATE MACRO m() AS 1", "CREATE SECRET (TYPE s3)", "DROP VIEW runs",
    "DELETE FROM runs", "UPDATE runs SET name = 'x'",
    "EXPLAIN ANALYZE SELECT 1", "EXPLAIN SELECT 1", "DESCRIBE runs", "SUMMARIZE runs", "SHOW TABLES",
    "PREPARE x AS SELECT 1", "EXECUTE x", "BEGIN", "CALL pragma_version()",
    "VACUUM", "CHECKPOINT", "USE memory", "SELECT 1; SELECT 2", "SELECT 1;", ";", "", " ", "--", "/*", "SELECT 1 --",
    "FROM runs", "VALUES (1)", "TABLE runs",
    "SELECT * FROM '{out}/secret.txt'", "SELECT * FROM \"{out}/secret.jsonl\"", "FROM '{out}/victim/runs/*/*.json'",
    "SELECT (FROM '{out}/secret.txt')",
    "WITH runs AS (FROM '{out}/secret.txt') FROM runs", "PIVOT runs ON status", "SELECT COLUMNS(*) FROM runs",
    "SELECT unnest([1,2,3])", "SELECT 1 UNION ALL " * 300 + "SELECT 1",
    "(" * 500 + "SELECT 1" + ")" * 500, "SELECT " + "(" * 2_000 + "1" + ")" * 2_000, "SELECT " + "1+" * 5_000 + "1",
    "SELECT '" + "a" * 200_000 + "'",
    "SELECT 1e400", "SELECT 'a'::BLOB", "SELECT INTERVAL 1000000 YEAR", "SELECT '290000-01-01'::TIMESTAMP",
    "SELECT 170141183460469231731687303715884105727",
    "SELECT 1 AS a, 2 AS a", "SELECT NULL", "SELECT 'nan'::DOUBLE", "SELECT MAP {{'a': 1}}",
    "SELECT {{'a': {{'b': [1, NULL]}}}}", "SELECT 'a\x00b'", "SELECT\u00a01", "\ufeffSELECT 1",
    "SELECT '\ud7ff'", "SELECT chr(27) || '[31m'", "SELECT * FROM upstream('x')", "SELECT * FROM upstream((SELECT 1))",
    "SELECT * FROM upstream('{out}')", "SELECT * FROM downstream(NULL)",
    "SELECT '1-1-1'::DATE", "SELECT 'infinity'::TIMESTAMP", "SELECT '-infinity'::DATE",
    "SELECT TIMETZ '00:00:00+1559'", "SELECT UUID '00000000-0000-0000-0000-000000000000'", "SELECT BIT '101'",
)  # fmt: skip
ENDLESS = (
    "SELECT count(*) FROM range(1000000000000)", "SELECT count(*) FROM range(1000000) a, range(1000000) b",
    "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT count(*) FROM r",
    "SELECT * FROM range(300000000)",
    "SELECT sum(a.range * b.range) FROM range(10000000) a, range(10000000) b",
    "SELECT * FROM generate_series(1, 100000000000)",
)  # fmt: skip
"""Queries that run until the time limit, and are therefore drawn rarely."""


@cache
def good() -> tuple[str, ...]:
    return tuple(re.findall(r"```sql\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL))


def make(at: Setting) -> tuple[str, Ask]:
    """Draw one statement; it must not change the lake."""
    chance = at.draw.random()
    if chance < 0.012:
        sql = at.draw.choice(ENDLESS)
    elif chance < 0.4:
        sql = at.draw.choice(WHOLE).format(out=at.outside)
    elif chance < 0.6:
        sql = _function_call(at)
    else:
        sql = _change_tokens(at.draw, str(at.outside))
    lake, words = at.good.lake, ["query", sql, "--lake", at.good.lake, "--timeout", "1"]
    if chance < 0.012 or at.draw.random() < 0.02:  # like the command, in its own process
        return "a statement", command(*words, *(["--json"] if at.draw.random() < 0.5 else []), keeps=(lake,))
    return "a statement", command(*words, call=lambda: answered(lake, sql), keeps=(lake,))


def answered(lake: Path, sql: str) -> None:
    """Run a query as the command's process does, and print its rows."""
    from editflow.storage.artifacts.store import Lake
    from editflow.storage.queries.query import first_rows
    from editflow.storage.queries.query_limits import QueryLimits

    rows, _ = first_rows(Lake.open(lake, create=False), sql, QueryLimits(seconds=20, rows=1_000, bytes=1 << 24))
    try:
        print(rows.to_pylist())
    except (OverflowError, ValueError):  # a value that Python cannot represent
        print(rows)


def _function_call(at: Setting) -> str:
    """A forbidden function somewhere in a query."""
    aims = ("secret.txt", "secret.jsonl", "victim", "*", "victim/artifacts/*/*/*.parquet", "../outside/secret.txt")
    reader = f"{at.draw.choice(READERS)}('{at.outside}/{at.draw.choice(aims)}')"
    call = reader if at.draw.random() < 0.6 else at.draw.choice(CALLS)
    frame = at.draw.choice((
        "SELECT * FROM {}", "SELECT {}", "SELECT (SELECT count(*) FROM {})", "WITH x AS (FROM {}) FROM x",
        "SELECT * FROM runs, {}", "SELECT 1 WHERE EXISTS (FROM {})",
        "SELECT * FROM runs ORDER BY (SELECT count(*) FROM {})",
        "SELECT [x FOR x IN [1] IF (SELECT count(*) FROM {}) > 0]", "SELECT * FROM (FROM {}) LIMIT 1",
        "FROM {} UNION ALL FROM {}",
        "SELECT json_serialize_sql('FROM ' || {})", "SELECT * FROM upstream((SELECT min(content) FROM {}))",
        "SELECT * FROM runs LIMIT (SELECT count(*) FROM {})", "SELECT list_transform([1], x -> {})",
    ))  # fmt: skip
    return str(frame.replace("{}", call))


def _change_tokens(draw: Random, outside: str) -> str:
    """A documented query with a few tokens removed, doubled, swapped or replaced."""
    tokens = TOKEN.findall(draw.choice(good()))
    for _ in range(draw.choice((1, 1, 2, 5))):
        n, m = draw.randrange(len(tokens)), draw.randrange(len(tokens))
        way = draw.randrange(5)
        if way == 0:
            tokens[n] = ""
        elif way == 1:
            tokens[n] *= 2
        elif way == 2:
            tokens[n], tokens[m] = tokens[m], tokens[n]
        elif way == 3:
            tokens[n] = f" '{outside}/secret.txt' "
        else:
            tokens[n] = draw.choice(
                (
                    *(text for text in TEXTS if len(text) < 1_000),
                    *CALLS,
                    "*",
                    "(",
                    ")",
                    ",",
                    "NULL",
                    "0",
                    "DISTINCT",
                    "::",
                )
            )
    return "".join(tokens)
