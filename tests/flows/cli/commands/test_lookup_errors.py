"""Invalid queries and look-ups are refused in one line and change nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.error_checks import refused
from support.tiny_world import World, editflow

from editflow.storage.errors import StorageError


@pytest.mark.parametrize(
    ("sql", "fragments"),
    [
        ("COPY artifacts TO '{folder}/out.csv'", ["SELECT"]),
        ("COPY (SELECT 1) TO '{folder}/out.parquet'", ["SELECT"]),
        ("SELECT * FROM read_csv('{folder}/secret.csv')", ["read_csv"]),
        ("SELECT * FROM '{folder}/secret.csv'", ["secret.csv"]),
        ("SELECT * FROM glob('{folder}/*')", ["glob"]),
        ("SELECT content FROM read_text('{folder}/secret.csv')", ["read_text"]),
        ("ATTACH '{folder}/new.duckdb'", ["SELECT"]),
        ("CREATE TABLE t AS SELECT 1", ["SELECT"]),
        ("DELETE FROM runs", ["SELECT"]),
        ("INSTALL httpfs", ["SELECT"]),
        ("PRAGMA database_list", ["SELECT"]),
        ("SET enable_external_access = true", ["SELECT"]),
        ("SELECT 1; SELECT 2", ["one SELECT"]),
        ("SELECT getenv('HOME')", ["getenv"]),
        ("SELECT * FROM artefacts", ["artefacts", "artifacts"]),
        ("SELECT nothing FROM artifacts", ["nothing"]),
        ("SELEC 1", []),
        ("SELECT 'infinity'::DATE AS d", ["cast its column to VARCHAR"]),
        ("SELECT TIMESTAMP '290000-01-01' AS d", ["cast its column to VARCHAR"]),
        ("SELECT " + " + ".join(["1"] * 900), ["nested too deeply"]),
        ("", []),
    ],
)
def test_invalid_sql_is_refused(reference, tmp_path: Path, sql: str, fragments: list[str]) -> None:
    (tmp_path / "secret.csv").write_text("a,b\n1,2\n")
    refused(editflow("query", sql.format(folder=tmp_path), "--lake", reference.lake), *fragments)
    assert [path.name for path in tmp_path.iterdir()] == ["secret.csv"]


def test_sql_that_only_reads_is_answered(reference) -> None:
    """Control of the test above."""
    assert editflow("query", "SELECT count(*) AS n FROM artifacts", "--lake", reference.lake).code == 0


@pytest.mark.parametrize("lake", ["s3://bucket/lake", "memory://lake"])
@pytest.mark.parametrize("command", [["runs"], ["show", "last"], ["query", "SELECT 1"], ["run"]], ids=lambda c: c[0])
def test_a_lake_that_is_not_a_local_folder_is_refused(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str], lake: str
) -> None:
    monkeypatch.chdir(tmp_path)
    more = [world.spec] if command == ["run"] else []
    refused(editflow(*command, *more, "--lake", lake), f"lake {lake}", "a folder on a local disk")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "fragments"),
    [
        (["show", "nobody"], ["0 runs match 'nobody'"]),
        (["show", ""], ["the run's name is empty"]),
        (["show", "tinny"], ["0 runs match 'tinny'", "'tiny'"]),
        (["ask", "nobody", "the city"], ["0 runs match 'nobody'"]),
        (["ask", "tiny", "  "], ["prompt is empty"]),
        (["ask", "tiny", "the city", "--tokens", "many"], ["many"]),
        (["ask", "tiny", "the city", "--tokens", "0"], ["tokens"]),
        (["lineage", "ffffffffffff"], ["ffffffffffff"]),
        (["lineage", "f" * 64], ["f" * 64]),
        (["lineage", "abc"], ["'abc'", "6 or more digits"]),
        (["lineage", "../../x"], ["../../x"]),
        (["lineage", "0" * 12, "--up", "--down"], ["--up and --down"]),
        (["runs", "--lake", "/nowhere/lake"], ["no lake at /nowhere/lake"]),
        (["show", "tiny", "--jsn"], ["--jsn"]),
        (["shwo", "tiny"], ["shwo"]),
        (["run"], ["SPEC"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_invalid_look_ups_are_refused(
    reference, monkeypatch: pytest.MonkeyPatch, arguments: list[str], fragments: list[str]
) -> None:
    monkeypatch.setenv("EDITFLOW_LAKE", str(reference.lake))
    refused(editflow(*arguments), *fragments)


def test_a_failed_run_cannot_be_asked(world: World, server: str, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    refused(editflow("run", world.spec, "--lake", lake, "--set", "edit.z_layer=7"))
    refused(editflow("ask", "tiny", "the city", "--lake", lake), "failed", "no edited model")
    (row,) = editflow("runs", "--json", "--lake", lake).json
    assert (row["status"], "out of range" in row["message"]) == ("failed", True)
    assert editflow("show", "tiny", "--lake", lake).code == 0


@pytest.mark.parametrize("name", ["started.json", "finished.json"])
def test_a_damaged_run_record_is_named(reference, copied: Path, name: str) -> None:
    """It is listed as damaged, `show` refuses it in one line, and the other runs are listed."""
    whole = reference.record["run_id"]
    other = copied / "runs" / "19700101T000000-damage"
    shutil.copytree(copied / "runs" / whole, other)
    (other / "started.json").write_text((other / "started.json").read_text().replace(whole, other.name))
    damaged = other / name
    damaged.write_text("{")
    rows = {row["run"]: row for row in editflow("runs", "--json", "--lake", copied).json}
    assert {run: row["status"] for run, row in rows.items()} == {whole: "completed", damaged.parent.name: "damaged"}
    assert str(damaged) in rows[damaged.parent.name]["message"]
    assert "damaged" in editflow("runs", "--lake", copied).out
    refused(editflow("show", damaged.parent.name, "--lake", copied), str(damaged), "is damaged")
    assert editflow("show", whole, "--json", "--lake", copied).json == reference.record


def test_an_unexpected_error_is_raised(reference, monkeypatch: pytest.MonkeyPatch) -> None:
    """Control: a bug is not reported as an error of the user."""

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("editflow.storage.records.runs.Runs.newest", broken)
    with pytest.raises(ZeroDivisionError):
        editflow("runs", "--lake", reference.lake)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_the_entry_point_prints_one_line(world: World, tmp_path: Path) -> None:
    """In a process of its own: code 2, one line on standard error, nothing on standard output."""
    command = [str(Path(sys.executable).parent / "editflow"), "run", str(tmp_path / "none.toml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env={**os.environ})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: no spec ")
    assert done.stderr.count("\n") == 1


def test_storage_errors_are_caught(reference, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise StorageError("made up [for this] test")

    monkeypatch.setattr("editflow.storage.records.runs.Runs.newest", broken)
    refused(editflow("runs", "--lake", reference.lake), "made up [for this] test")


def test_messages_name_commands_that_exist() -> None:
    """Every `editflow …` in a message is a command."""
    import re

    from editflow.flows.cli.registry import app

    root = Path(__file__).parents[4]
    sources = [path for room in ("editing", "flows", "storage", "tasks") for path in (root / room).rglob("*.py")]
    named = {word for path in sources for word in re.findall(r"`editflow ([\w-]+)", path.read_text(encoding="utf-8"))}
    assert named > {"fetch", "run", "runs"}
    assert named <= set(app)
