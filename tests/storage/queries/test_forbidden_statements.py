"""Over twenty attempts to write, attach, load or read something forbidden. All are refused and leave no trace.

The control of every attempt is the same SQL in a plain DuckDB, where it works.
"""

# ruff: noqa: S608 - the SQL is built from constants of this test

from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from editflow.storage.artifacts.store import Lake
from editflow.storage.errors import QueryRefused
from editflow.storage.queries.query import connect, query

Attempt = Callable[[Path, Lake], str]
WRITE: dict[str, Attempt] = {
    "copy to a file": lambda away, _: f"COPY (SELECT 1 AS a) TO '{away}/out.csv'",
    "copy into the lake": lambda _, lake: (
        f"COPY (SELECT 1 AS a) TO '{lake.uri}/artifacts/out.parquet' (FORMAT parquet)"
    ),
    "copy over a payload": lambda _, lake: f"COPY (SELECT 1 AS a) TO '{payload(lake)}' (FORMAT parquet)",
    "copy over a manifest": lambda _, lake: f"COPY (SELECT 1 AS a) TO '{payload(lake).parent}/manifest.json'",
    "copy over the index": lambda _, lake: f"COPY (SELECT 1 AS a) TO '{lake.uri}/catalog/uses/out.parquet'",
    "export all tables": lambda away, _: f"EXPORT DATABASE '{away}/export'",
    "write through a temporary folder": lambda away, _: f"SET temp_directory = '{away}/spill'",
    "write a log": lambda away, _: f"SET log_query_path = '{away}/log.sql'",
}
ATTACH: dict[str, Attempt] = {
    "attach a new database": lambda away, _: f"ATTACH '{away}/new.db'",
    "attach an existing database": lambda away, _: f"ATTACH '{away}/secret.db' (READ_ONLY)",
    "attach in the lake": lambda _, lake: f"ATTACH '{lake.uri}/artifacts/new.db'",
}
LOAD: dict[str, Attempt] = {
    "load an extension": lambda _away, _lake: "LOAD parquet",
    "load one from another folder": lambda away, _: f"SET extension_directory = '{away}/extensions'",
    "load extensions automatically": lambda _away, _lake: "SET autoload_known_extensions = true",
}
READ: dict[str, Attempt] = {
    "a file as text": lambda away, _: f"SELECT content FROM read_text('{away}/secret.csv')",
    "a file by its name": lambda away, _: f"SELECT * FROM '{away}/secret.csv'",
    "a file by its bytes": lambda away, _: f"SELECT content FROM read_blob('{away}/secret.csv')",
    "a table of another program": lambda away, _: f"SELECT * FROM read_parquet('{away}/secret.parquet')",
    "the files of a folder": lambda away, _: f"SELECT * FROM glob('{away}/*')",
    "a relative path out of the lake": lambda away, lake: (
        f"SELECT * FROM '{lake.uri}/artifacts/../../{away.name}/secret.csv'"
    ),
    "a ref of the lake": lambda _, lake: f"SELECT content FROM read_text('{lake.uri}/refs/demo/00000001.json')",
    "a link in the lake": lambda _, lake: f"SELECT content FROM read_text('{lake.uri}/artifacts/link.csv')",
    "a file in a subquery": lambda away, _: f"SELECT (SELECT content FROM read_text('{away}/secret.csv')) AS x",
}
ATTEMPTS = {**WRITE, **ATTACH, **LOAD, **READ}


def payload(lake: Lake) -> Path:
    return next(Path(lake.files.path(m.payload)) for m in lake.manifests())


@pytest.fixture
def away(tmp_path: Path, lake: Lake, edited: dict[str, str]) -> Path:
    """A folder next to the lake that contains secrets; in the lake, a ref and a link into that folder."""
    folder = tmp_path / "away"
    folder.mkdir()
    (folder / "secret.csv").write_text("a\n1\n")
    with duckdb.connect(str(folder / "secret.db")) as plain:
        plain.execute("CREATE TABLE t AS SELECT 1 AS a")
        plain.execute(f"COPY t TO '{folder}/secret.parquet'")
    lake.files.create("refs/demo/00000001.json", b'{"value": 1}')
    Path(lake.files.path("artifacts/link.csv")).symlink_to(folder / "secret.csv")
    return folder


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


TRACELESS = {"write through a temporary folder", "attach an existing database"}
"""Attempts that leave no immediate trace even if they succeed."""
INSIDE_LAKE = {
    "copy into the lake", "copy over a payload", "copy over a manifest", "copy over the index", "attach in the lake",
    "a link in the lake",
}  # fmt: skip
"""Attempts on files of the lake: the locked connection allows its folders, so only the guard prevents these."""


def test_every_attempt_is_refused_and_leaves_no_trace(away: Path, lake: Lake) -> None:
    assert len(ATTEMPTS) >= 20
    before = tree(away.parent)
    for name, attempt in ATTEMPTS.items():
        with pytest.raises(QueryRefused, match=r"^[^\n]+$"):
            query(lake, attempt(away, lake))
        assert tree(away.parent) == before, name


def test_the_locked_connection_alone_prevents_attempts_outside_the_lake(away: Path, lake: Lake) -> None:
    before = tree(away.parent)
    with connect(lake) as connection:
        for name, attempt in ATTEMPTS.items():
            if name not in INSIDE_LAKE:
                try:
                    connection.execute(attempt(away, lake)).fetchall()
                except duckdb.Error:
                    pass
                else:
                    assert name == "load an extension", "this extension is built in and already loaded"
                assert tree(away.parent) == before, name


def test_every_attempt_works_in_a_plain_duckdb(away: Path, lake: Lake) -> None:
    """The control."""
    for name, attempt in ATTEMPTS.items():
        before = tree(away.parent)
        with duckdb.connect() as plain:
            plain.execute("CREATE TABLE t AS SELECT 1 AS a")
            plain.execute(attempt(away, lake)).fetchall()
        assert (tree(away.parent) != before) == (name in {*WRITE, *ATTACH} - TRACELESS), name
