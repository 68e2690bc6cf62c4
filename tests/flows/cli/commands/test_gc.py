"""`editflow gc` deletes unneeded files and nothing else, while writers are running too."""

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
from editflow.tasks.temporary_folders import OWNER, temporary_folder

pytestmark = pytest.mark.exhaustive

OLD = time.time() - 48 * 3600


@pytest.fixture
def lake(world: World, tmp_path: Path) -> Path:
    """A lake with a finished run and one unneeded file of each kind, two days old."""
    folder = tmp_path / "lake"
    tiny_world.record_directly(world.spec, folder, "requests.count=2")
    for path in _pieces(folder):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 100)
    for path in folder.rglob("*"):
        os.utime(path, (OLD, OLD))  # age alone makes no file unneeded
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


def test_unneeded_files_are_deleted_and_all_others_stay(lake: Path) -> None:
    pieces = [path for path in _pieces(lake) if path.exists()]
    assert len(pieces) == 4
    kept = {path: path.read_bytes() for path in lake.rglob("*") if path.is_file() and path not in pieces}
    listed = editflow("gc", "--lake", lake, "--json").json
    assert all(path.exists() for path in pieces)  # only listed so far
    assert sorted(row["what"] for row in listed["litter"]) == [
        "payload without manifest", "result of Prefect", "set aside", "unfinished file",
    ]  # fmt: skip
    assert editflow("gc", "--lake", lake, "--delete", "--json").json["litter"] == listed["litter"]
    assert not any(path.exists() for path in pieces)
    lost = {path for path in kept if not path.exists()}
    assert not {path for path in lost if "catalog" not in path.parts}
    assert editflow("gc", "--lake", lake, "--json").json["litter"] == []
    tiny_world.sound(lake)
    assert editflow("runs", "--lake", lake).code == 0
    assert len(editflow("query", "SELECT id FROM artifacts", "--lake", lake, "--json").json) == len(
        tiny_world.digests(lake)
    )


def test_a_payload_outside_an_artifact_folder_is_deleted(lake: Path) -> None:
    store, copy = Lake.open(lake), lake / "artifacts" / "ab" / "a-copy"
    payload = next(lake.glob("artifacts/*/*/payload-*.parquet"))
    shutil.copytree(payload.parent, copy)  # a copy with its manifest may be wanted
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


def test_the_flow_does_the_same_and_lists_it_on_its_page(lake: Path, server: str) -> None:
    found = clean(str(lake))
    assert "set aside" in {row["what"] for row in found}
    assert table("litter") == found
    assert clean(str(lake)) == []


def test_the_flow_reports_the_number_of_removed_artifacts(outgrown: Path, server: str) -> None:
    (row,) = [row for row in clean(str(outgrown), keep_runs=1, delete=False) if row["what"] == "artifact"]
    assert row in clean(str(outgrown), keep_runs=1)
    assert clean(str(outgrown), keep_runs=1) == []


def test_recently_touched_files_stay(lake: Path) -> None:
    """A writer may still need them."""
    for path in _pieces(lake)[:2]:
        os.utime(path)
    assert len(list(find_orphans(Lake.open(lake), 24))) == 2
    clean.fn(str(lake))
    assert [path.exists() for path in _pieces(lake)] == [True, True, False, False]


def test_a_file_that_a_writer_completes_meanwhile_stays(lake: Path) -> None:
    """A payload is found without a manifest; then the artifact is written: it stays and is valid."""
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


def test_temporary_folders_of_killed_processes_are_deleted(
    lake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are listed with sizes, also by the doctor, and then deleted; the folder of a running process stays."""
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

    with temporary_folder("rerun") as mine:
        assert {row["path"]: row["bytes"] // 1000 for row in gc(lake)["folders"]} == dict.fromkeys(map(str, left), 1)
        assert str(left[0]) in editflow("gc", "--lake", lake).out
        assert str(left[0]) in named()
        assert len(gc(lake, "--delete")["folders"]) == 3
        assert gc(lake)["folders"] == []
        assert (mine / OWNER).exists()
        assert str(place) not in named()
    assert list(place.iterdir()) == list(cached.iterdir()) == []


@pytest.fixture
def outgrown(world: World, tmp_path: Path) -> Path:
    """A lake with two runs of one name, two days old: the second needs some artifacts of the first."""
    folder = tmp_path / "lake"
    for count in (2, 3):
        tiny_world.record_directly(world.spec, folder, f"requests.count={count}")
    Catalog(Lake.open(folder)).rebuild()
    for path in folder.rglob("manifest.json"):
        os.utime(path, (OLD, OLD))
    return folder


def gc(lake: Path, *words: object) -> dict[str, Any]:
    return dict(editflow("gc", *words, "--lake", lake, "--json").json)


def unneeded(result: dict[str, Any]) -> int:
    return sum(row["unneeded"] for row in result["kinds"])


def test_sizes_are_listed_by_kind(outgrown: Path) -> None:
    made = list(Lake.open(outgrown).manifests())
    listed = {row["kind"]: (row["artifacts"], row["bytes"]) for row in gc(outgrown)["kinds"]}
    assert listed == {
        kind: (sum(m.kind == kind for m in made), sum(m.bytes for m in made if m.kind == kind))
        for kind in {m.kind for m in made}
    }
    shown = editflow("gc", "--lake", outgrown).out
    assert "artifacts by kind" in shown
    assert "not needed" not in shown, "without a rule everything is needed"


def test_artifacts_that_only_an_older_run_needed_are_deleted_with_keep_runs(outgrown: Path) -> None:
    before, runs = tiny_world.digests(outgrown), list(Runs(Lake.open(outgrown).files).newest())
    assert unneeded(gc(outgrown, "--delete")) == 0, "without a rule no artifact is deleted"
    listed = gc(outgrown, "--keep-runs", 1)
    assert unneeded(listed) > 0
    assert (listed["deleted"], listed["removed"]) == (False, 0)
    assert tiny_world.digests(outgrown) == before, "they are only listed"
    assert "gc --delete --keep-runs 1" in editflow("gc", "--keep-runs", 1, "--lake", outgrown).err
    done = gc(outgrown, "--keep-runs", 1, "--delete")
    assert done["removed"] == unneeded(listed)
    after = tiny_world.digests(outgrown)
    assert len(after) == len(before) - done["removed"]
    assert {use.artifact for use in runs[0].uses} <= after.keys()
    assert not {use.artifact for use in runs[1].uses} <= after.keys()
    assert [run.run_id for run in Runs(Lake.open(outgrown).files).newest()] == [run.run_id for run in runs]
    assert unneeded(gc(outgrown, "--keep-runs", 1)) == 0
    assert editflow("verify", "--lake", outgrown).code == 0, "removed artifacts are not faults"
    shutil.rmtree(outgrown / "removed")
    assert editflow("verify", "--lake", outgrown).code == 1, "control: a run had used them"
    tiny_world.sound(outgrown)


@pytest.mark.parametrize("words", [["--keep-runs", 2], ["--keep-runs", 1, "--keep-days", 1], ["--keep-days", 1]])
def test_rules_that_keep_every_run_delete_nothing(outgrown: Path, words: list[object]) -> None:
    """A run is kept if either rule keeps it; both runs are of today."""
    assert unneeded(gc(outgrown, *words)) == 0


@pytest.mark.parametrize("folder", ["refs", "releases", "queues"])
def test_artifacts_of_a_name_a_release_or_a_queue_stay(outgrown: Path, folder: str) -> None:
    older = list(Runs(Lake.open(outgrown).files).newest())[1]
    Refs(Lake.open(outgrown).files, folder).append("kept", older.state)
    left = unneeded(gc(outgrown, "--keep-runs", 1, "--delete"))
    behind = {step.id for step in lineage(Lake.open(outgrown), str(older.state))}
    assert behind <= tiny_world.digests(outgrown).keys()
    assert left > 0, "control: its evaluations are not upstream"


def test_a_running_run_keeps_artifacts_it_may_have_reused(outgrown: Path) -> None:
    files = Lake.open(outgrown).files
    record = Runs(files).start("busy", {})
    started = outgrown / "runs" / record.run_id / "started.json"
    started.write_text(started.read_text().replace(record.started_at, "2020-01-01T00:00:00.000+00:00"))
    assert unneeded(gc(outgrown, "--keep-runs", 1)) == 0
    Runs(files).finish(record, "failed")
    assert unneeded(gc(outgrown, "--keep-runs", 1)) > 0, "control"


def test_invalid_input_is_refused_in_one_line(tmp_path: Path) -> None:
    for words, fragment in (
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
        assert fragment in answer.err, words


@pytest.mark.parametrize("wrong", [{"hours": -1.0}, {"hours": 0.5}, {"keep_runs": 0}, {"keep_days": -1.0},
                                   {"keep_days": float("inf")}])  # fmt: skip
def test_invalid_parameters_of_a_deployment_delete_nothing(lake: Path, wrong: dict[str, Any]) -> None:
    """They bypass the checks of the command."""
    pieces = [path for path in _pieces(lake) if path.exists()]
    with pytest.raises(UsageError, match="choose|keep 1"):
        clean.fn(str(lake), **wrong)
    assert all(path.exists() for path in pieces)
