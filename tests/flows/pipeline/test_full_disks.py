"""A full disk or a read-only lake gives one error line and loses nothing; with room again, the run continues."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import tiny_world
from support.error_checks import refused
from support.file_systems import disk, read_only, resize
from support.hostile_cases.good import SMALL
from support.hostile_cases.offline import without_prefect
from support.tiny_world import Answer, World, editflow

from editflow.storage.artifacts.store import Lake
from editflow.tasks.models.model_identity import open_model

pytestmark = pytest.mark.exhaustive

PLENTY = 64 * 1024
MOMENTS = 10
QUICK = {2, 6}
"""Disk sizes tried by default; `make soak` tries all of them."""
SETTINGS = [part for setting in SMALL for part in ("--set", setting)]


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    without_prefect(monkeypatch)


def run(world: World, lake: Path) -> Answer:
    open_model.cache_clear()
    return editflow("run", world.spec, "--lake", lake, *SETTINGS)


@pytest.fixture(scope="module")
def whole(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, str], int]]:
    """The artifacts of an undisturbed run, and the KiB that it takes on such a disk."""
    with pytest.MonkeyPatch.context() as patch, disk(tmp_path_factory.mktemp("whole") / "disk", PLENTY) as place:
        without_prefect(patch)
        empty = os.statvfs(place).f_bfree
        answer = run(world, place / "lake")
        assert answer.code == 0, answer.err
        room = os.statvfs(place)
        yield tiny_world.digests(place / "lake"), (empty - room.f_bfree) * room.f_frsize // 1024


def full(moment: int) -> object:
    return pytest.param(moment, marks=() if moment in QUICK else pytest.mark.soak, id=f"{moment} tenths")


@pytest.mark.parametrize("moment", [full(moment) for moment in range(MOMENTS)])
def test_a_run_continues_after_a_full_disk(
    world: World, whole: tuple[dict[str, str], int], tmp_path: Path, moment: int
) -> None:
    """The disk has room for a part of a run; with more room it continues and completes the index without a rebuild."""
    digests, needed = whole
    with disk(tmp_path / "disk", max(8, needed * (2 * moment + 1) // (2 * MOMENTS))) as place:
        lake = place / "lake"
        answer = run(world, lake)
        refused(answer)
        assert "room" in answer.err or "space" in answer.err.lower()
        tiny_world.sound(lake)
        there = tiny_world.digests(lake)
        assert there.items() <= digests.items()
        resize(place, PLENTY)
        again = run(world, lake)
        assert again.code == 0, again.err
        assert tiny_world.digests(lake) == digests
        audit = editflow("verify", "--lake", lake)
        assert audit.code == 0, audit.out + audit.err


def test_files_outside_a_lake_are_written_whole_or_not_at_all(
    world: World, whole: tuple[dict[str, str], int], tmp_path: Path
) -> None:
    """A report or bundle that does not fit is not written, and an earlier one is kept."""
    lake = tmp_path / "lake"
    assert run(world, lake).code == 0
    with disk(tmp_path / "disk", 8) as place:
        for words in (["export-run"], ["report"]):
            out = place / "out"
            out.write_text("before")
            refused(editflow(*words, "last", "--out", out, "--lake", lake))
            assert {path.name: path.read_text() for path in place.iterdir()} == {"out": "before"}
    assert editflow("verify", "--lake", lake).code == 0


def test_a_read_only_lake_answers_queries_and_refuses_writes(world: World, tmp_path: Path) -> None:
    """Queries are answered or refused in one line, commands that write are refused, and no byte changes."""
    lake = tmp_path / "lake"
    assert run(world, lake).code == 0
    answers = {words: editflow(*words, "--lake", lake) for words in QUESTIONS}
    before = {path: path.read_bytes() for path in lake.rglob("*") if path.is_file()}
    with read_only(lake):
        for words, answer in answers.items():
            found = editflow(*words, "--lake", lake)
            assert (found.code, found.out) == (answer.code, answer.out), (words, found.err)
        for words in WRITES:
            refused(editflow(*words, "--lake", lake))
        shutil.copy(world.facts, tmp_path / "facts.jsonl")
        refused(editflow("submit", tmp_path / "facts.jsonl", "--lake", lake))
        refused(editflow("run", world.spec, "--lake", lake, *SETTINGS, "--set", "target_values.steps=4"))
    assert {path: path.read_bytes() for path in lake.rglob("*") if path.is_file()} == before
    assert editflow("verify", "--lake", lake).code == 0
    assert Lake.open(lake, create=False).files.list("runs")


QUESTIONS = (
    ("runs",), ("show", "last"), ("verify",), ("query",
    "SELECT kind, count(*) FROM artifacts GROUP BY kind ORDER BY kind"),
    ("lineage", "tiny"), ("gc",), ("queue",), ("scores", "last"), ("diff", "last", "last"),
)  # fmt: skip
WRITES = (("verify", "--rebuild"), ("rollback", "0"))
