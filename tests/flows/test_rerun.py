"""A run repeated from its record gives the same bytes, or a report of the differences and their cause."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from support import tiny_world
from support.prefect_pages import table
from support.simulated_crashes import DEAD, bury
from support.tiny_world import World, editflow

from editflow.flows.console.errors import UsageError
from editflow.flows.pipeline.fresh_lake import MARK, fresh_lake
from editflow.flows.rerun import NotReproduced, reproduce
from editflow.flows.spec.recorded_spec import recorded_spec
from editflow.storage.artifacts.kinds import kind as kinds
from editflow.storage.artifacts.store import Lake
from editflow.storage.records.runs import Runs
from editflow.tasks.reproduction.reproduction import distance


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, Path, str]:
    """A finished run of a separate world, which tests may change."""
    folder = tmp_path_factory.mktemp("moved")
    world = tiny_world.make(folder / "world")
    record = tiny_world.record_directly(world.spec, folder / "lake", "requests.count=2")
    return world, folder / "lake", record.run_id


def test_a_repeated_run_is_identical(moved: tuple[World, Path, str], server: str, tmp_path: Path) -> None:
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


@pytest.mark.exhaustive
def test_a_difference_is_reported(moved: tuple[World, Path, str], server: str, tmp_path: Path) -> None:
    """Control: a different text changes the moments and everything that depends on them."""
    world, lake, run = moved
    was = world.corpus.read_bytes()
    world.corpus.write_bytes(was.replace(b"a", b"e"))
    try:
        answer = editflow("rerun", run, "--lake", lake)
        with pytest.raises(NotReproduced, match="the first that differs is documents"):
            reproduce(str(lake), "any")
    finally:
        world.corpus.write_bytes(was)
    assert answer.code == 1
    assert "the first that differs is documents" in answer.err
    kept = [Lake.open(lake).read(m.id).to_pylist() for m in tiny_world.artifacts(lake, "reproduction")]
    other = next({row["stage"]: row for row in rows} for rows in kept if not all(row["same"] for row in rows))
    assert not other["documents"]["same"]
    assert other["second moment"]["largest"] > 0
    assert other["requests"]["same"]


def test_the_flow_repeats_the_run_of_the_week(moved: tuple[World, Path, str], server: str, tmp_path: Path) -> None:
    lake = shutil.copytree(moved[1], tmp_path / "lake")
    found: Any = reproduce(str(lake))
    assert found["run"] == moved[2]
    assert [row["stage"] for row in table("reproduction")] == [row["stage"] for row in found["rows"]]
    assert all(row["same"] for row in found["rows"])
    assert reproduce(str(tiny_lake(tmp_path / "empty"))) is None


def tiny_lake(folder: Path) -> Path:
    Lake.open(folder)
    return folder


def test_invalid_input_is_refused_in_one_line(moved: tuple[World, Path, str], server: str, tmp_path: Path) -> None:
    world, lake, run = moved
    runs = Runs(Lake.open(lake).files)
    died, served = (runs.start(name, {}) for name in ("half", "served"))
    runs.finish(served, "completed", summary={"queue": "current", "facts": 0, "batches": [], "before": {}, "after": {}})
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "notes.txt").touch()
    os.mkfifo(tmp_path / "pipe")
    for words, fragment in (
        ([run, "--into", "s3://bucket/lake"], "local disk"),
        ([run, "--into", "S3://bucket/lake"], "local disk"),
        ([run, "--into", ""], "is empty"),
        ([run, "--into", str(tmp_path / "pipe" / "new")], "a pipe"),
        ([run, "--into", str(tmp_path / "taken")], "other files"),
        ([run, "--into", str(tmp_path / "pipe")], "a pipe"),
        ([run, "--into", "/dev/null"], "a device"),
        ([run, "--into", "~nobody-here/x"], "no such user"),
        ([served.run_id], "took its requests from a queue"),
        (["nobody"], "0 runs match 'nobody'"),
        ([died.run_id], "is running and cannot be repeated"),
        ([run, "--into", str(lake)], "already a lake"),
        ([run, "--threads", "0"], "Must be >= 1"),
    ):
        answer = editflow("rerun", *words, "--lake", lake)
        assert answer.code == 2, words
        assert fragment in answer.err.splitlines()[-1]
    assert [path.name for path in (tmp_path / "taken").iterdir()] == ["notes.txt"]
    world.facts.rename(tmp_path / "facts.jsonl")
    try:
        answer = editflow("rerun", run, "--lake", lake)
    finally:
        (tmp_path / "facts.jsonl").rename(world.facts)
    assert (answer.code, "facts.jsonl" in answer.err.splitlines()[-1]) == (2, True)


class Killed(BaseException):
    """Not caught, like a kill."""


def kill_after(run: str, lake: Path, into: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kill a repetition right after it wrote an artifact of a kind, and record a dead process as its owner."""

    def write(self: Lake, name: str, *args: Any, inner: Any = Lake.write, **more: Any) -> Any:
        made = inner(self, name, *args, **more)
        if name == kind:
            raise Killed
        return made

    with monkeypatch.context() as patch:
        patch.setattr(Lake, "write", write)
        if kind == "state":  # after "reproduction" the run itself is finished
            patch.setattr(Runs, "finish", lambda *_, **__: None)
        with pytest.raises(Killed):
            editflow("rerun", run, "--lake", lake, "--into", into)
    bury(Lake.open(into))
    mark = into / MARK
    content = json.loads(mark.read_text())
    mark.write_text(json.dumps(content | {"owner": content["owner"] | {"pid": DEAD}}))


@pytest.mark.parametrize("kind", ["state", pytest.param("reproduction", marks=pytest.mark.exhaustive)])
def test_a_killed_repetition_resumes(
    moved: tuple[World, Path, str], server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """In the middle and right before the end; afterwards its lake is an ordinary lake."""
    _, lake, run = moved
    fresh, lake = tmp_path / "fresh", Path(shutil.copytree(lake, tmp_path / "lake"))
    before = {id_ for id_, made in tiny_world.digests(lake).items() if made}
    kill_after(run, lake, fresh, kind, monkeypatch)
    began = tiny_world.digests(fresh)
    assert began
    answer = editflow("rerun", run, "--lake", lake, "--into", fresh, "--json")
    assert answer.code == 0, answer.err
    assert answer.json["same"]
    assert {row["artifact"] for row in answer.json["rows"]} <= before
    assert tiny_world.digests(fresh).items() >= began.items()
    assert not (fresh / MARK).exists()
    for place in (fresh, lake):
        assert editflow("verify", "--lake", place).code == 0
    again = editflow("rerun", run, "--lake", lake, "--into", fresh)
    assert (again.code, "already a lake" in again.err) == (2, True)


def test_another_repetitions_lake_is_refused(moved: tuple[World, Path, str], tmp_path: Path) -> None:
    """Of another run, under other settings, of a running process, and without a readable mark."""
    _, lake, run = moved
    record = Runs(Lake.open(lake).files).get(run)
    spec = recorded_spec(record)
    fresh = tmp_path / "fresh"
    with pytest.raises(Killed), fresh_lake(fresh, record, spec) as begun:
        begun.write("contexts", 1, {}, {}, pa.table({"i": [0], "template": ["x"]}, schema=kinds("contexts").schema))
        raise Killed
    text = (fresh / MARK).read_text()
    content = json.loads(text)
    elsewhere = content["owner"] | {"host": "elsewhere"}
    wrong = (
        (content | {"run": "another"}, "another run"), (content | {"record": "another"}, "another run"),
        (content | {"threads": 77}, "threads"), (content | {"environment": {}}, "versions"),
        (content | {"owner": elsewhere}, "running"), ([], "already"), ({}, "another run"), ("[" * 3000, "already"),
    )  # fmt: skip
    for other, fragment in wrong:
        (fresh / MARK).write_text(other if isinstance(other, str) else json.dumps(other))
        with pytest.raises(UsageError, match=fragment), fresh_lake(fresh, record, spec):
            pass
        assert len(tiny_world.digests(fresh)) == 1
    (fresh / MARK).unlink()
    (fresh / MARK).symlink_to(tmp_path / "mark")
    (tmp_path / "mark").write_text(text)
    with pytest.raises(UsageError, match="already"), fresh_lake(fresh, record, spec):
        pass
    (fresh / MARK).unlink()
    (fresh / MARK).write_text(text)
    with fresh_lake(fresh, record, spec) as again:
        assert len(list(again.ids())) == 1, "the control"
    assert (tmp_path / "mark").read_text() == text


@pytest.mark.exhaustive
def test_files_are_found_from_the_folder_of_the_run(
    moved: tuple[World, Path, str], server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run with relative paths is repeated in its folder; in another folder, the error names the file."""
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
