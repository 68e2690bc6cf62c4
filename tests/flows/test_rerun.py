"""A past run repeated from its record: the same bytes, or a word on where, how far, and what may explain it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import tiny_world
from prefect_pages import table
from tiny_world import World, editflow

from flows.rerun import NotReproduced, reproduce
from storage.runs import Runs
from storage.store import Lake
from tasks.rerun import distance


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, Path, str]:
    """A finished run of a world of its own, which tests may change."""
    folder = tmp_path_factory.mktemp("moved")
    world = tiny_world.make(folder / "world")
    record = tiny_world.record_directly(world.spec, folder / "lake", "requests.count=2")
    return world, folder / "lake", record.run_id


def test_it_comes_out_the_same(moved: tuple[World, Path, str], server: str, tmp_path: Path) -> None:
    _, lake, run = moved
    before = tiny_world.digests(lake)
    answer = editflow("rerun", run, "--lake", lake, "--into", tmp_path / "fresh", "--json")
    assert answer.code == 0, answer.err
    assert answer.json["same"]
    assert {row["artifact"]: row["digest"] for row in answer.json["rows"]} == before
    assert tiny_world.digests(tmp_path / "fresh") == before
    (kept,) = tiny_world.artifacts(lake, "reproduction")
    assert kept.parents == {"state": Runs(Lake.open(lake).files).get(run).state}
    assert kept.rows == len(before)


def test_what_came_out_otherwise_is_named(moved: tuple[World, Path, str], server: str, tmp_path: Path) -> None:
    """The control: another text gives other moments, and everything behind them."""
    world, lake, run = moved
    was = world.corpus.read_bytes()
    world.corpus.write_bytes(was.replace(b"a", b"e"))
    try:
        answer = editflow("rerun", run, "--lake", lake)
        with pytest.raises(NotReproduced, match="the first that did not is documents"):
            reproduce(str(lake), "any")
    finally:
        world.corpus.write_bytes(was)
    assert answer.code == 1
    assert "the first that did not is documents" in answer.err
    kept = [Lake.open(lake).read(m.id).to_pylist() for m in tiny_world.artifacts(lake, "reproduction")]
    other = next({row["stage"]: row for row in rows} for rows in kept if not all(row["same"] for row in rows))
    assert not other["documents"]["same"]
    assert other["second moment"]["largest"] > 0
    assert other["requests"]["same"]


def test_the_week_chooses_the_run(moved: tuple[World, Path, str], server: str, tmp_path: Path) -> None:
    lake = shutil.copytree(moved[1], tmp_path / "lake")
    found: Any = reproduce(str(lake))
    assert found["run"] == moved[2]
    assert [row["stage"] for row in table("reproduction")] == [row["stage"] for row in found["rows"]]
    assert all(row["same"] for row in found["rows"])
    assert reproduce(str(tiny_lake(tmp_path / "empty"))) is None


def tiny_lake(folder: Path) -> Path:
    Lake.open(folder)
    return folder


def test_wrong_input_gets_one_line(moved: tuple[World, Path, str], server: str, tmp_path: Path) -> None:
    world, lake, run = moved
    runs = Runs(Lake.open(lake).files)
    died, served = (runs.start(name, {}) for name in ("half", "served"))
    runs.finish(served, "completed", summary={"queue": "current", "batches": [], "before": {}, "after": {}})
    for words, said in (
        ([served.run_id], "took its requests from a queue"),
        (["nobody"], "0 runs match 'nobody'"),
        ([died.run_id], "is running and cannot be repeated"),
        ([run, "--into", str(lake)], "is a lake already"),
        ([run, "--threads", "0"], "Must be >= 1"),
    ):
        answer = editflow("rerun", *words, "--lake", lake)
        assert answer.code == 2, words
        assert said in answer.err.splitlines()[-1]
    world.facts.rename(tmp_path / "facts.jsonl")
    try:
        answer = editflow("rerun", run, "--lake", lake)
    finally:
        (tmp_path / "facts.jsonl").rename(world.facts)
    assert (answer.code, "facts.jsonl" in answer.err.splitlines()[-1]) == (2, True)


def test_a_file_named_from_another_folder(
    moved: tuple[World, Path, str], server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run whose spec was named from its own folder is repeated there, and elsewhere it says where."""
    world, lake = moved[0], tmp_path / "lake"
    monkeypatch.chdir(world.folder)
    run = tiny_world.record_directly(Path(world.spec.name), lake, "requests.count=2").run_id
    assert editflow("rerun", run, "--lake", lake).code == 0
    monkeypatch.chdir(tmp_path)
    for command in ("rerun", "export-run"):
        answer = editflow(command, run, "--lake", lake)
        assert (answer.code, answer.out) == (2, "")
        assert "requests.source from facts.jsonl, which is not in this folder" in answer.err.splitlines()[-1]


def test_distances() -> None:
    one = pa.table({"a": [1.0, -4.0], "v": [[1.0, 2.0], [3.0]], "t": ["x", "y"], "n": [1, None]})
    other = pa.table({"a": [1.0, -3.0], "v": [[1.0, 2.0], [3.5]], "t": ["x", "z"], "n": [1, None]})
    assert distance(one, one) == (0.0, 0.0)
    assert distance(one, other) == (1.0, 0.25)
    assert distance(one, other.slice(0, 1)) is None
    assert distance(one, other.drop(["t"])) is None
    gap = pa.table({"a": [1.0, None], "v": [[1.0, 2.0], [3.0]], "t": ["x", "y"], "n": [1, None]})
    assert distance(one, gap) is None
