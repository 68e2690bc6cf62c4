"""Litter goes, everything else stays: beside writers, and whatever was touched of late."""

from __future__ import annotations

import json
import os
import platform
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from support import tiny_world
from support.prefect_pages import table
from support.simulated_crashes import DEAD
from support.tiny_world import World, editflow

from editflow.flows.clean import clean
from editflow.flows.console.errors import UsageError
from editflow.storage.artifacts.store import Lake
from editflow.storage.index.catalog import Catalog
from editflow.storage.maintenance.audit import Audit
from editflow.storage.maintenance.orphans import find_orphans, remove_orphan
from editflow.storage.queries.query import lineage
from editflow.storage.records.refs import Refs
from editflow.storage.records.runs import Runs
from editflow.tasks.temporary_folders import OWNER, temporary

pytestmark = pytest.mark.exhaustive

OLD = time.time() - 48 * 3600


@pytest.fixture
def lake(world: World, tmp_path: Path) -> Path:
    """A finished run, and one piece of each kind of litter, two days old."""
    folder = tmp_path / "lake"
    tiny_world.record_directly(world.spec, folder, "requests.count=2")
    for path in _pieces(folder):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 100)
    for path in folder.rglob("*"):
        os.utime(path, (OLD, OLD))  # age alone makes no litter
    return folder


def _pieces(folder: Path) -> list[Path]:
    payload = next(folder.glob("artifacts/*/*/payload-*.parquet"))
    lost = "ab" * 32
    return [
        folder / "runs" / ".tmp-0123",
        payload.with_name(payload.name + ".discarded-1"),
        folder / "artifacts" / "ab" / lost / "payload-0123456789abcdef.parquet",
        folder / "prefect" / lost,
    ]


def test_litter_goes_and_all_else_stays(lake: Path) -> None:
    pieces = [path for path in _pieces(lake) if path.exists()]
    assert len(pieces) == 4
    kept = {path: path.read_bytes() for path in lake.rglob("*") if path.is_file() and path not in pieces}
    said = editflow("gc", "--lake", lake, "--json").json
    assert all(path.exists() for path in pieces)  # only said so far
    assert sorted(row["what"] for row in said["litter"]) == [
        "payload without manifest", "result of Prefect", "set aside", "unfinished file",
    ]  # fmt: skip
    assert editflow("gc", "--lake", lake, "--delete", "--json").json["litter"] == said["litter"]
    assert not any(path.exists() for path in pieces)
    lost = {path for path in kept if not path.exists()}
    assert not {path for path in lost if "catalog" not in path.parts}
    assert editflow("gc", "--lake", lake, "--json").json["litter"] == []
    tiny_world.sound(lake)
    assert editflow("runs", "--lake", lake).code == 0
    assert len(editflow("query", "SELECT id FROM artifacts", "--lake", lake, "--json").json) == len(
        tiny_world.digests(lake)
    )


def test_a_payload_in_no_artifacts_folder_is_litter_as_well(lake: Path) -> None:
    store, copy = Lake.open(lake), lake / "artifacts" / "ab" / "a-copy"
    payload = next(lake.glob("artifacts/*/*/payload-*.parquet"))
    shutil.copytree(payload.parent, copy)  # with its manifest: somebody may want it
    pieces = ["artifacts/a.parquet", "artifacts/ab/a.parquet", "artifacts/ab/nothing/a.parquet"]
    for name in pieces:
        (lake / name).parent.mkdir(exist_ok=True)
        (lake / name).write_bytes(b"x")
    before = {one.name for one in find_orphans(store, 24)}
    for path in lake.glob("artifacts/**/*"):
        os.utime(path, (OLD, OLD))
    assert {one.name for one in find_orphans(store, 24)} - before == {*pieces}
    assert not {fault.file for fault in Audit(store).check_foreign_files()} & {*pieces}
    assert all(remove_orphan(store, one, 24) for one in find_orphans(store, 24) if one.name in pieces)
    assert not any((lake / name).exists() for name in pieces)
    assert len([*copy.iterdir()]) == len([*payload.parent.iterdir()])


def test_the_flow_does_the_same_and_says_so_on_its_page(lake: Path, server: str) -> None:
    found = clean(str(lake))
    assert "set aside" in {row["what"] for row in found}
    assert table("litter") == found
    assert clean(str(lake)) == []


def test_the_flow_says_how_many_artifacts_it_removed(outgrown: Path, server: str) -> None:
    (row,) = [row for row in clean(str(outgrown), keep_runs=1, delete=False) if row["what"] == "artifact"]
    assert row in clean(str(outgrown), keep_runs=1)
    assert clean(str(outgrown), keep_runs=1) == []


def test_what_was_touched_of_late_stays(lake: Path) -> None:
    """The control of age: a writer may be at work on it."""
    for path in _pieces(lake)[:2]:
        os.utime(path)
    assert len(list(find_orphans(Lake.open(lake), 24))) == 2
    clean.fn(str(lake))
    assert [path.exists() for path in _pieces(lake)] == [True, True, False, False]


def test_a_writer_that_comes_in_between_keeps_its_file(lake: Path) -> None:
    """Found as litter, then the artifact is made after all: the new payload stays, and the artifact is whole."""
    store = Lake.open(lake)
    documents = next(m for m in store.manifests() if m.kind == "documents")
    table = store.read(documents.id)
    manifest = lake / documents.payload
    os.utime(manifest, (OLD, OLD))
    (manifest.parent / "manifest.json").rename(lake / "manifest")
    (found,) = [
        one for one in find_orphans(store, 24) if documents.id in one.name and one.what.startswith("payload without")
    ]
    ref = store.write(documents.kind, documents.version, documents.spec, documents.parents, table)
    assert ref.id == documents.id
    assert not remove_orphan(store, found, 24)
    assert store.fault(documents.id) is None
    assert store.read(documents.id).equals(table)
    assert isinstance(table, pa.Table)


def test_temporary_folders_of_killed_processes(lake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Listed with their sizes and named by the doctor, then gone; one whose process goes on stays."""
    place, cached = tmp_path / "temporary", tmp_path / "cache" / "converted"
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    monkeypatch.setenv("EDITFLOW_CACHE", str(tmp_path / "cache"))
    gone = {"host": platform.node(), "pid": DEAD, "started": 1.0}
    left = [place / "editflow-rerun-1", place / "editflow-verify-2", cached / "editflow-convert-3"]
    for folder in left:
        (folder / "lake").mkdir(parents=True)
        (folder / "lake" / "payload").write_bytes(b"x" * 1000)
        (folder / OWNER).write_text(json.dumps(gone))

    def named() -> str:
        (found,) = [row for row in editflow("doctor", "--lake", lake, "--json").json if row["check"] == "temporary"]
        return str(found["found"])

    with temporary("rerun") as mine:
        assert {row["path"]: row["bytes"] // 1000 for row in asked(lake)["folders"]} == dict.fromkeys(map(str, left), 1)
        assert str(left[0]) in editflow("gc", "--lake", lake).out
        assert str(left[0]) in named()
        assert len(asked(lake, "--delete")["folders"]) == 3
        assert asked(lake)["folders"] == []
        assert (mine / OWNER).exists()
        assert str(place) not in named()
    assert list(place.iterdir()) == list(cached.iterdir()) == []


@pytest.fixture
def outgrown(world: World, tmp_path: Path) -> Path:
    """Two runs of one name, two days old: the second needs a part of what the first one made."""
    folder = tmp_path / "lake"
    for count in (2, 3):
        tiny_world.record_directly(world.spec, folder, f"requests.count={count}")
    Catalog(Lake.open(folder)).rebuild()
    for path in folder.rglob("manifest.json"):
        os.utime(path, (OLD, OLD))
    return folder


def asked(lake: Path, *words: object) -> dict[str, Any]:
    return dict(editflow("gc", *words, "--lake", lake, "--json").json)


def unneeded(said: dict[str, Any]) -> int:
    return sum(row["unneeded"] for row in said["kinds"])


def test_sizes_by_kind(outgrown: Path) -> None:
    made = list(Lake.open(outgrown).manifests())
    told = {row["kind"]: (row["artifacts"], row["bytes"]) for row in asked(outgrown)["kinds"]}
    assert told == {
        kind: (sum(m.kind == kind for m in made), sum(m.bytes for m in made if m.kind == kind))
        for kind in {m.kind for m in made}
    }
    shown = editflow("gc", "--lake", outgrown).out
    assert "artifacts by kind" in shown
    assert "not needed" not in shown, "without a rule everything is needed"


def test_what_only_an_older_run_needed_goes_when_it_is_said(outgrown: Path) -> None:
    before, runs = tiny_world.digests(outgrown), list(Runs(Lake.open(outgrown).files).newest())
    assert unneeded(asked(outgrown, "--delete")) == 0, "without a rule no artifact goes"
    said = asked(outgrown, "--keep-runs", 1)
    assert unneeded(said) > 0
    assert (said["deleted"], said["removed"]) == (False, 0)
    assert tiny_world.digests(outgrown) == before, "it is only said"
    assert "gc --delete --keep-runs 1" in editflow("gc", "--keep-runs", 1, "--lake", outgrown).err
    done = asked(outgrown, "--keep-runs", 1, "--delete")
    assert done["removed"] == unneeded(said)
    after = tiny_world.digests(outgrown)
    assert len(after) == len(before) - done["removed"]
    assert {use.artifact for use in runs[0].uses} <= after.keys()
    assert not {use.artifact for use in runs[1].uses} <= after.keys()
    assert [run.run_id for run in Runs(Lake.open(outgrown).files).newest()] == [run.run_id for run in runs]
    assert unneeded(asked(outgrown, "--keep-runs", 1)) == 0
    assert editflow("verify", "--lake", outgrown).code == 0, "what was removed is not lost"
    shutil.rmtree(outgrown / "removed")
    assert editflow("verify", "--lake", outgrown).code == 1, "the control: a run had used it"
    tiny_world.sound(outgrown)


@pytest.mark.parametrize("words", [["--keep-runs", 2], ["--keep-runs", 1, "--keep-days", 1], ["--keep-days", 1]])
def test_rules_that_keep_everything(outgrown: Path, words: list[object]) -> None:
    """By either rule a run may count; both are of today."""
    assert unneeded(asked(outgrown, *words)) == 0


@pytest.mark.parametrize("folder", ["refs", "releases", "queues"])
def test_what_a_name_a_release_or_a_queue_speaks_of_stays(outgrown: Path, folder: str) -> None:
    older = list(Runs(Lake.open(outgrown).files).newest())[1]
    Refs(Lake.open(outgrown).files, folder).append("kept", older.state)
    left = unneeded(asked(outgrown, "--keep-runs", 1, "--delete"))
    behind = {step.id for step in lineage(Lake.open(outgrown), str(older.state))}
    assert behind <= tiny_world.digests(outgrown).keys()
    assert left > 0, "the control: its evaluations are behind nothing"


def test_a_run_that_goes_on_keeps_what_it_may_have_met(outgrown: Path) -> None:
    files = Lake.open(outgrown).files
    record = Runs(files).start("busy", {})
    started = outgrown / "runs" / record.run_id / "started.json"
    started.write_text(started.read_text().replace(record.started_at, "2020-01-01T00:00:00.000+00:00"))
    assert unneeded(asked(outgrown, "--keep-runs", 1)) == 0
    Runs(files).finish(record, "failed")
    assert unneeded(asked(outgrown, "--keep-runs", 1)) > 0, "the control"


def test_wrong_input_gets_one_line(tmp_path: Path) -> None:
    for words, said in (
        (["--lake", tmp_path / "none"], "no lake at"),
        (["--hours", "0", "--lake", tmp_path], "Must be >= 1"),
        (["--hours", "inf", "--lake", tmp_path], "Must be <= "),
        (["--keep-runs", "0", "--lake", tmp_path], "Must be >= 1"),
        (["--keep-days", "0", "--lake", tmp_path], "Must be > 0"),
        (["--keep-days", "-1", "--lake", tmp_path], "Must be > 0"),
        (["--keep-days", "inf", "--lake", tmp_path], "Must be <= "),
        (["--keep-days", "nan", "--lake", tmp_path], "Must be "),
    ):
        answer = editflow("gc", *words)
        assert (answer.code, answer.err.count("\n")) == (2, 1), words
        assert said in answer.err, words


@pytest.mark.parametrize("wrong", [{"hours": -1.0}, {"hours": 0.5}, {"keep_runs": 0}, {"keep_days": -1.0},
                                   {"keep_days": float("inf")}])  # fmt: skip
def test_a_schedule_cannot_take_what_a_writer_may_need(lake: Path, wrong: dict[str, Any]) -> None:
    """Parameters of a deployment come without the command's checks."""
    pieces = [path for path in _pieces(lake) if path.exists()]
    with pytest.raises(UsageError, match="choose|keep 1"):
        clean.fn(str(lake), **wrong)
    assert all(path.exists() for path in pieces)
