"""Decompression bombs in the index are treated as damaged and stay within the memory limit."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from pyarrow import parquet

from editflow.storage.artifacts.store import Lake
from editflow.storage.errors import QueryRefused, StorageError
from editflow.storage.index import database, index_reader
from editflow.storage.index.catalog import Catalog
from editflow.storage.index.rows import SCHEMAS
from editflow.storage.maintenance import unindexed_artifacts
from editflow.storage.maintenance.garbage_collection import census
from editflow.storage.maintenance.index_audit import index_faults
from editflow.storage.maintenance.retention_policy import RetentionRule
from editflow.storage.queries.query import connect, find_values, impact, lineage, query

pytestmark = pytest.mark.exhaustive

ROWS, AT_ONCE = 500_000, 100_000
SMALL = 2**26
SOURCES = ("storage", "flows", "tasks")


def blow_up(lake: Lake, table: str) -> None:
    """Replace a file of an index table by half a million copies of its first row, which take a few kilobytes."""
    file = Path(Catalog(lake).files(table)[0])
    row = parquet.ParquetFile(file).read().slice(0, 1)
    many = pa.concat_tables([row] * AT_ONCE).combine_chunks()
    with parquet.ParquetWriter(file, many.schema, compression="zstd") as writer:
        for _ in range(ROWS // AT_ONCE):
            writer.write_table(many)
    assert file.stat().st_size < 2**20
    with database.open_database({"memory_limit": "64MiB"}) as connection, pytest.raises(duckdb.OutOfMemoryException):
        connection.execute(f"CREATE TABLE a AS FROM '{file}'")


ASKED: dict[str, Callable[[Lake, dict[str, str]], object]] = {
    "missing": lambda lake, _: Catalog(lake).missing(),
    "debts": lambda lake, _: unindexed_artifacts.index_missing_rows(lake, whole=True),
    "unindexed": lambda lake, made: unindexed_artifacts.unindexed(lake, [made["model"]]),
    "verify": lambda lake, _: list(index_faults(lake)),
    "lineage": lambda lake, made: lineage(lake, made["state2"]),
    "impact": lambda lake, made: impact(lake, [made["model"]]),
    "find_values": lambda lake, _: find_values(lake, {"requests": "subject"}, "a"),
    "census": lambda lake, _: census(lake, RetentionRule(runs=1), 24),
    "connect": lambda lake, _: connect(lake).close(),
}

OF_ALL = ("lineage", "impact", "census", "connect")
"""Questions that read a large index differently."""


@pytest.mark.parametrize("large", [False, True], ids=["copied", "read where it is"])
@pytest.mark.parametrize("name", SCHEMAS)
def test_a_decompression_bomb_in_the_index_is_bounded(
    name: str, large: bool, lake: Lake, edited: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = lineage(lake, edited["state2"])
    blow_up(lake, name)
    monkeypatch.setattr(database, "memory_limit", lambda: SMALL)
    if large:
        monkeypatch.setattr(index_reader, "LARGE_INDEX_BYTES", 0)
    for question in OF_ALL if large else ASKED:
        try:
            found = ASKED[question](lake, edited)
        except StorageError as error:
            assert "\n" not in str(error), question
        else:
            assert question != "lineage" or found == steps
    if not large:
        Catalog(lake).rebuild()
        assert list(index_faults(lake)) == []


@pytest.mark.parametrize("text", [b"null", b"", b"PAR1PAR1", b"PAR1" + b"\xff" * 2000 + b"PAR1"],
                         ids=["a word", "nothing", "two marks", "marks around nonsense"])  # fmt: skip
def test_a_payload_that_is_not_parquet_is_a_one_line_error(text: bytes, lake: Lake, edited: dict[str, str]) -> None:
    assert find_values(lake, {"requests": "subject"}, "subject")["requests"], "the control"
    payload = Path(lake.files.path(lake.manifest(edited["requests"]).payload))
    payload.write_bytes(text)
    for question in ("find_values", "connect"):
        with pytest.raises(StorageError, match=r"^[^\n]*cannot be read[^\n]*`editflow verify`[^\n]*$"):
            ASKED[question](lake, edited)
    with pytest.raises(QueryRefused, match=r"^[^\n]+$"):
        query(lake, "SELECT * FROM requests")


def test_every_database_has_a_memory_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    assert database.memory_limit() >= 2**30
    monkeypatch.setattr(database, "memory_limit", lambda: SMALL)
    with database.open_database() as connection:
        assert connection.execute("SELECT current_setting('memory_limit')").fetchall() == [("64.0 MiB",)]
        with pytest.raises(StorageError, match="memory"), database.explain_read_errors():
            connection.execute("CREATE TABLE a AS SELECT hash(range) FROM range(100_000_000)")
    root = Path(__file__).parents[3]
    opening = [path for part in SOURCES for path in (root / part).rglob("*.py") if _opens(path)]
    assert opening == [root / "storage" / "index" / "database.py"]


def _opens(path: Path) -> bool:
    """Whether a module opens a DuckDB database itself."""
    calls = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute))
    return any(node.attr == "connect" and getattr(node.value, "id", "") == "duckdb" for node in calls)
