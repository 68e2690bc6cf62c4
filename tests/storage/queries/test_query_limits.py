"""Queries are limited in time, memory, rows and text, and end on Ctrl-C; those within the limits are unaffected."""

# ruff: noqa: S608 - the SQL is built from constants of this test

import os
import signal
from collections.abc import Callable

import duckdb
import pyarrow as pa
import pytest

from editflow.storage.artifacts.store import Lake
from editflow.storage.errors import QueryRefused
from editflow.storage.queries import query_process
from editflow.storage.queries.query import query
from editflow.storage.queries.query_limits import MAX_CHARACTERS, QueryLimits, RunningQuery, memory_share

pytestmark = pytest.mark.exhaustive

ENDLESS = {
    "a count of all numbers": "SELECT count(*) FROM range(1000000000000)",
    "a recursion without end": "WITH RECURSIVE t AS (SELECT 1 AS a UNION ALL SELECT a FROM t) SELECT count(*) FROM t",
    "a product of a million": "SELECT count(*) FROM range(1000000) a(x), range(1000000) b(y) WHERE hash(x + y) = 7",
    "rows that never come": "SELECT * FROM range(1000000000000) WHERE hash(range) = 7",
    "a sum over another series": "SELECT sum(hash(g)) FROM generate_series(1, 1000000000000) s(g)",
}
UNINTERRUPTED = {
    "queries that double each other": "WITH a0 AS (SELECT 1), "
    + ", ".join(f"a{n} AS (SELECT * FROM a{n - 1}, a{n - 1} b)" for n in range(1, 30))
    + " SELECT count(*) FROM a29",
    "one number, two billion places wide": "SELECT printf('%2000000000d', 1)",
}
LARGE = {
    "a list of all numbers": "SELECT list(range) FROM range(1000000000000)",
    "one long text": "SELECT string_agg(repeat('x', 100000), '') FROM range(1000000)",
    "a list as a value": "SELECT len(range(1000000000000))",
    "a text of ten gigabytes": "SELECT repeat('x', 10000000000)",
    "many rows": "SELECT * FROM range(300000000)",
    "wide rows": "SELECT repeat('x', 100000) FROM range(100000)",
}
TOO_MUCH_TEXT = {
    "twenty thousand unions": "SELECT 1" + " UNION ALL SELECT 1" * 20_000,
    "five thousand unions": "SELECT 1" + " UNION ALL SELECT 1" * 5000,
    "a long list": f"SELECT 1 IN ({', '.join(['1'] * 60_000)})",
    "many columns": f"SELECT {', '.join(['1'] * 30_000)}",
    "brackets": "SELECT " + "[" * 50_000 + "]" * 50_000,
    "parentheses": "SELECT " + "(" * 50_000 + "1" + ")" * 50_000,
    "negations": "SELECT " + "NOT " * 40_000 + "true",
    "a long comment": "SELECT 1 --" + "x" * MAX_CHARACTERS,
    "nested queries": "SELECT * FROM " + "(SELECT * FROM " * 2000 + "runs" + ")" * 2000,
}
SHORT = QueryLimits(seconds=0.2)
SMALL = QueryLimits(memory=256 * 2**20, rows=10_000, bytes=2**24)


@pytest.mark.parametrize("sql", ENDLESS.values(), ids=ENDLESS)
def test_an_endless_query_is_stopped(sql: str, lake: Lake) -> None:
    with pytest.raises(QueryRefused, match=r"^[^\n]*stopped[^\n]*$"):
        query(lake, sql, SHORT)
    assert query(lake, "SELECT 1 AS a").num_rows == 1


@pytest.mark.parametrize("sql", LARGE.values(), ids=LARGE)
def test_a_huge_result_is_refused(sql: str, lake: Lake) -> None:
    with pytest.raises(QueryRefused, match=r"^[^\n]+$"):
        query(lake, sql, SMALL)


@pytest.mark.parametrize("sql", TOO_MUCH_TEXT.values(), ids=TOO_MUCH_TEXT)
def test_a_query_that_is_too_large_to_plan_is_refused(sql: str, lake: Lake) -> None:
    with pytest.raises(QueryRefused, match=r"^[^\n]+$"):
        query(lake, sql)


def test_a_long_query_and_a_long_result_within_the_limits_are_complete(lake: Lake, edited: dict[str, str]) -> None:
    assert edited
    many = ", ".join(f"'{number:064x}'" for number in range(2000))
    ids = query(lake, f"SELECT id FROM artifacts WHERE id NOT IN ({many}) ORDER BY id")
    assert [row["id"] for row in ids.to_pylist()] == sorted(m.id for m in lake.manifests())
    rows = query(lake, "SELECT range AS n, repeat('x', 100) AS x FROM range(50000)", QueryLimits(rows=50_000))
    assert rows.num_rows == 50_000
    assert rows["n"].to_pylist() == list(range(50_000)), "in order, from every batch"


def test_rows_beyond_the_limit_are_an_error(lake: Lake) -> None:
    with pytest.raises(QueryRefused, match="100 rows"):
        query(lake, "SELECT * FROM range(101)", QueryLimits(rows=100))
    assert query(lake, "SELECT * FROM range(100)", QueryLimits(rows=100)).num_rows == 100


@pytest.mark.parametrize("wrong", [{"seconds": 0}, {"seconds": float("nan")}, {"seconds": float("inf")}, {"rows": 0}])
def test_limits_must_be_positive(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="limit"):
        QueryLimits(**wrong)  # type: ignore[arg-type]
    assert 0 < memory_share() <= 2 * 2**30


@pytest.mark.parametrize(
    "sql",
    [
        ENDLESS["a count of all numbers"],
        ENDLESS["rows that never come"],
        UNINTERRUPTED["one number, two billion places wide"],
    ],
)
def test_ctrl_c_ends_a_query(sql: str, lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    attach = RunningQuery.attach

    def attach_and_interrupt(running: RunningQuery, connection: duckdb.DuckDBPyConnection) -> None:
        attach(running, connection)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(RunningQuery, "attach", attach_and_interrupt)
    with pytest.raises(KeyboardInterrupt):
        query(lake, sql, QueryLimits(seconds=600))


def test_a_query_in_its_own_process_gives_the_same_result(lake: Lake, edited: dict[str, str]) -> None:
    sql = "SELECT id, kind, inputs, created_at, seconds, 1 AS a, 2 AS a, NULL AS nothing FROM artifacts ORDER BY id"
    assert query_process.first_rows(lake.uri, sql, QueryLimits()) == (query(lake, sql), False)
    few, more = query_process.first_rows(lake.uri, sql, QueryLimits(rows=3))
    assert more
    assert few == query(lake, f"{sql} LIMIT 3")
    assert edited
    with pytest.raises(QueryRefused, match="no view 'nope'"):
        query_process.first_rows(lake.uri, "SELECT * FROM nope", QueryLimits())


@pytest.mark.parametrize("sql", UNINTERRUPTED.values(), ids=UNINTERRUPTED)
def test_its_own_process_ends_a_query_that_cannot_be_interrupted(sql: str, lake: Lake) -> None:
    with pytest.raises(QueryRefused, match=r"^[^\n]*(stopped|memory)[^\n]*$"):
        query_process.first_rows(lake.uri, sql, QueryLimits(seconds=2, memory=2**28))


def test_memory_that_duckdb_does_not_count_is_limited_too(lake: Lake) -> None:
    with pytest.raises(QueryRefused, match="memory"):
        query_process.first_rows(lake.uri, "SELECT repeat('x', 4000000000)", QueryLimits(memory=2**28))


def test_nothing_is_imported_from_the_current_folder(
    lake: Lake, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("elsewhere")
    for name in ("duckdb", "json", "editflow", "storage", "psutil"):
        (folder / f"{name}.py").write_text("open('taken', 'w').close()\nraise SystemExit(9)\n")
    monkeypatch.chdir(folder)
    table, _ = query_process.first_rows(lake.uri, "SELECT 1 AS a", QueryLimits())
    assert table == pa.table({"a": pa.array([1], pa.int32())})
    assert not (folder / "taken").exists()


def test_a_process_that_ends_without_a_result_is_an_error(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control for reading results from the process."""
    ends: dict[str, Callable[[], type[Exception]]] = {
        "import os, signal; os.kill(os.getpid(), signal.SIGABRT)": lambda: QueryRefused,
        "raise KeyError('x')": lambda: RuntimeError,
    }
    for code, error in ends.items():
        monkeypatch.setattr(query_process, "_START", code)
        with pytest.raises(error()):
            query_process.first_rows(lake.uri, "SELECT 1", QueryLimits())
