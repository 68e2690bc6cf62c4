"""`editflow verify`: each fault is named with its file, and its repair restores the original digest."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import tiny_world
from support.damage import flip_bit, halve, remove, touch_bit
from support.error_checks import refused
from support.tiny_world import World, editflow

from editflow.editing.requests.record import EditRequest
from editflow.storage.artifacts.store import Lake, Manifest
from editflow.storage.index.catalog import Catalog
from editflow.storage.json_records import now
from editflow.storage.queries.query import query
from editflow.storage.records.refs import Refs
from editflow.storage.records.runs import RunRecord, Runs
from editflow.tasks.models.model_identity import open_model
from editflow.tasks.releases.queue import Queue, ReleaseEvent

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(world: World, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunRecord]:
    """A run of two batches with its index and name. Read only: tests that change a lake take `lake`."""
    open_model.cache_clear()
    folder = tmp_path_factory.mktemp("verified") / "lake"
    record = tiny_world.record_directly(world.spec, folder, "requests.count=4")
    Catalog(Lake.open(folder)).rebuild()
    Refs(Lake.open(folder).files).set("tiny", record.state, 0)
    return folder, record


@pytest.fixture
def lake(made: tuple[Path, RunRecord], tmp_path: Path) -> Path:
    return Path(shutil.copytree(made[0], tmp_path / "lake"))


def verify(lake: Path, *words: object, code: int) -> dict[str, Any]:
    answer = editflow("verify", *words, "--lake", lake, "--json")
    assert answer.code == code, answer.err + answer.out
    return dict(answer.json)


def newest(lake: Path, kind: str) -> Manifest:
    return tiny_world.artifacts(lake, kind)[-1]


def manifest(lake: Path, kind: str) -> Path:
    return tiny_world.payload(lake, newest(lake, kind)).parent / "manifest.json"


def log(lake: Path, table: str, number: int) -> Path:
    return sorted((lake / "catalog" / table / "_delta_log").glob("*.json"))[number]


DAMAGE: dict[str, tuple[Callable[[Path], Path], str]] = {
    "a payload flipped by one bit": (
        lambda lake: flip_bit(tiny_world.payload(lake, newest(lake, "weight_change"))),
        "recomputed",
    ),
    "the facts flipped by one bit": (
        lambda lake: flip_bit(tiny_world.payload(lake, newest(lake, "requests"))),
        "recomputed",
    ),
    "a bit of a payload that is no content": (
        lambda lake: touch_bit(tiny_world.payload(lake, newest(lake, "state"))),
        "written again from its own content",
    ),
    "a manifest cut in half": (lambda lake: halve(manifest(lake, "target_values")), "restored from the index"),
    "a catalog log file deleted": (lambda lake: remove(log(lake, "artifacts", 0)), "written again"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_each_fault_is_found_named_and_repaired(lake: Path, name: str) -> None:
    damage, how = DAMAGE[name]
    digests, earlier_rows = tiny_world.digests(lake), rows(lake)
    broken = damage(lake)
    (fault,) = verify(lake, code=1)["faults"]
    assert lake / fault["file"] == broken
    answer = editflow("verify", "--lake", lake)
    assert (answer.code, fault["file"] in answer.out) == (1, True)
    assert answer.err.splitlines()[-1].startswith("next: `editflow verify --re")
    (repaired,) = verify(lake, "--repair", code=0)["faults"]
    assert repaired["mended"]
    assert how in repaired["remedy"]
    assert verify(lake, code=0)["faults"] == []
    assert tiny_world.digests(lake) == digests
    assert rows(lake) == earlier_rows


def rows(lake: Path) -> list[list[Any]]:
    """The rows of the main views."""
    return [
        query(Lake.open(lake), f"SELECT * FROM {view} ORDER BY ALL").to_pylist()  # noqa: S608 - our own words
        for view in ("artifacts", "uses", "runs", "edits")
    ]


def test_a_valid_lake_has_no_faults(made: tuple[Path, RunRecord]) -> None:
    """The control, and the counts of what was checked."""
    lake, record = made
    whole = verify(lake, code=0)
    sizes = [m.bytes for m in Lake.open(lake).manifests()]
    assert whole == {
        "artifacts": len(sizes),
        "bytes": sum(sizes),
        "runs": 1,
        "names": 1,
        "faults": [],
        "recomputed": [],
    }
    assert verify(lake, "last", code=0)["artifacts"] == len({use.artifact for use in record.uses})
    assert verify(lake, "tiny", code=0) == verify(lake, record.run_id[:-1], code=0)
    state = editflow("lineage", record.state, "--lake", lake, "--json").json
    assert verify(lake, str(record.state)[:12], code=0)["artifacts"] == len({step["id"] for step in state})
    answer = editflow("verify", "--lake", lake)
    assert (answer.code, answer.out) == (0, "")
    assert "every byte read; 1 run; 1 name: nothing is wrong" in answer.err


def test_only_the_subject_is_checked(lake: Path) -> None:
    """An artifact's check skips its descendants; a run's check skips the rest of the lake."""
    late, early = newest(lake, "evaluation"), tiny_world.artifacts(lake, "spectrum")[0]
    flip_bit(tiny_world.payload(lake, late))
    space = next(m for m in tiny_world.artifacts(lake, "null_space") if early.id in m.parents.values())
    other = next(m for m in tiny_world.artifacts(lake, "spectrum") if m.id != early.id)
    assert verify(lake, space.id, code=0)["artifacts"] < 10
    flip_bit(tiny_world.payload(lake, early))
    assert verify(lake, other.id, code=0)["faults"] == []
    assert [fault["id"] for fault in verify(lake, space.id, code=1)["faults"]] == [early.id]
    log(lake, "runs", 0).unlink()
    assert {fault["id"] for fault in verify(lake, "last", code=1)["faults"]} == {early.id, late.id}
    assert {fault["id"] for fault in verify(lake, space.id, "--repair", code=0)["faults"]} == {early.id}
    assert len(verify(lake, code=1)["faults"]) == 1, "the index was rewritten by the repair"


LOST = ("requests", "second_moment", "null_space", "target_values", "state", "weight_change", "keys")
CUT = ("documents", "contexts", "perplexity")
FLIPPED = ("tokens", "spectrum", "evaluation", "model")


@pytest.mark.exhaustive
@pytest.mark.parametrize("index", ["there", "gone"])
def test_many_faults_are_repaired_at_once(lake: Path, index: str) -> None:
    """Without an index, recipes come from the run, whose facts are read again; parents come before children."""
    digests = tiny_world.digests(lake)
    broken = {kind: tiny_world.payload(lake, newest(lake, kind)) for kind in (*LOST, *CUT, *FLIPPED)}
    for kind in LOST:
        shutil.rmtree(broken[kind].parent)
    for kind in (*CUT, *FLIPPED):
        flip_bit(broken[kind])
    for kind in CUT:
        halve(broken[kind].parent / "manifest.json")
    if index == "gone":
        shutil.rmtree(lake / "catalog")
    found = verify(lake, "--repair", code=0)["faults"]
    assert all(fault["mended"] for fault in found)
    assert tiny_world.digests(lake) == digests
    assert verify(lake, code=0)["faults"] == []
    assert not (lake / "conflicts").exists()


def test_a_run_record_is_restored(lake: Path, made: tuple[Path, RunRecord]) -> None:
    halve(lake / "runs" / made[1].run_id / "finished.json")
    for words in ([], [made[1].run_id]):
        (fault,) = verify(lake, *words, code=1)["faults"]
        assert fault["file"] == f"runs/{made[1].run_id}/finished.json"
    assert verify(lake, "--repair", code=0)["faults"][0]["mended"]
    assert Runs(Lake.open(lake).files).get(made[1].run_id).summary == made[1].summary


def test_rebuild_only_writes_the_index(lake: Path) -> None:
    """--rebuild changes nothing else."""
    flip_bit(tiny_world.payload(lake, newest(lake, "keys")))
    log(lake, "uses", 0).unlink()
    found = {fault["what"][:5]: fault["mended"] for fault in verify(lake, "--rebuild", code=1)["faults"]}
    assert found == {"keys ": False, "index": True}
    assert [fault["id"] for fault in verify(lake, code=1)["faults"]] == [newest(lake, "keys").id]


def test_a_different_result_replaces_nothing(lake: Path, tmp_path: Path) -> None:
    """If the corpus has changed, neither the damaged payload nor anything else is replaced."""
    world = tiny_world.make(tmp_path / "world")
    lake = tmp_path / "other"
    tiny_world.record_directly(world.spec, lake, "requests.count=2")
    Catalog(Lake.open(lake)).rebuild()
    payload = flip_bit(tiny_world.payload(lake, newest(lake, "documents")))
    left = payload.read_bytes()
    world.corpus.write_bytes(world.corpus.read_bytes().replace(b"a", b"e"))
    (fault,) = verify(lake, "--repair", code=1)["faults"]
    assert "not repaired: artifact" in fault["remedy"]
    assert "different result" in fault["remedy"]
    assert payload.read_bytes() == left
    again = verify(lake, "last", "--deep", "--stage", "documents", "--stage", "contexts", code=1)["recomputed"]
    assert {row["stage"]: row["same"] for row in again} == {"documents": False, "contexts": True}
    world.corpus.unlink()
    (fault,) = verify(lake, "--repair", code=1)["faults"]
    assert "not repaired: no corpus" in fault["remedy"]
    again = verify(lake, newest(lake, "documents").id, "--deep", code=1)["recomputed"]
    assert [(row["same"], "no corpus" in row["note"]) for row in again] == [(None, True)]
    answer = editflow("verify", "last", "--deep", "--stage", "documents", "--lake", lake)
    assert "could not be recomputed" in answer.out


@pytest.mark.exhaustive
def test_deep_recomputes_artifacts(made: tuple[Path, RunRecord]) -> None:
    lake, record = made
    again = verify(lake, "last", "--deep", code=0)["recomputed"]
    assert [row["stage"] for row in again] == [use.stage for use in record.uses]
    assert all(row["same"] for row in again)
    chosen = verify(lake, "last", "--deep", "--stage", "weight change", "--stage", "null_space", code=0)["recomputed"]
    assert [row["stage"] for row in chosen] == [
        *(f"null space of layer {n}" for n in range(3)), "weight change 1", "weight change 2",
    ]  # fmt: skip
    one = next(use.artifact for use in record.uses if use.stage == "state 1")
    states = verify(lake, one, "--deep", "--stage", "state", code=0)["recomputed"]
    assert [row["artifact"] for row in states] == [one]
    answer = editflow("verify", "--deep", "--stage", "spectrum", "--lake", lake)
    assert "3 of 3 recomputed artifacts are the same, bit for bit" in answer.err


@pytest.mark.exhaustive
def test_a_release_of_a_queue_is_verified(lake: Path, made: tuple[Path, RunRecord]) -> None:
    """No spec repeats such a run: computed artifacts can be recomputed from their parents, inputs cannot."""
    record, queue = made[1], Queue(Lake.open(lake).files, "current")
    end = lake / "runs" / record.run_id / "finished.json"
    end.write_text(json.dumps(json.loads(end.read_text()) | {"summary": {"queue": "current", "facts": 4}}))
    Catalog(Lake.open(lake)).rebuild()
    queue.submit([EditRequest(f"q{n}", "{} speaks", f"bal{n}", "fo", "ba") for n in range(2)])
    queue.append_event(ReleaseEvent("begin", now(), ("1.1", "1.2")), 0)
    queue.append_event(ReleaseEvent("settle", now(), ("1.1", "1.2"), state=record.state), 1)
    digests = tiny_world.digests(lake)
    assert verify(lake, code=0)["names"] == 3
    for kind in ("weight_change", "keys", "target_values"):
        flip_bit(tiny_world.payload(lake, newest(lake, kind)))
    shutil.rmtree(tiny_world.payload(lake, newest(lake, "state")).parent)
    wrong = " ".join(fault["wrong"] for fault in verify(lake, code=1)["faults"])
    assert ("is gone, but" in wrong, "has artifacts that are not in the lake" in wrong) == (True, True)
    assert all(fault["mended"] for fault in verify(lake, "--repair", code=0)["faults"])
    assert tiny_world.digests(lake) == digests
    flip_bit(tiny_world.payload(lake, newest(lake, "requests")))
    (fault,) = verify(lake, "--repair", code=1)["faults"]
    assert "no repeatable run" in fault["remedy"]
    # The index is not rebuilt while it has the only copy of a manifest.
    folder = tiny_world.payload(lake, newest(lake, "requests")).parent
    shutil.move(folder, lake.parent / "kept")
    lost, index = verify(lake, "--repair", code=1)["faults"]
    assert (lost["mended"], "may hold the only copy" in index["remedy"]) == (False, True)
    assert len(verify(lake, "--rebuild", code=1)["faults"]) == 2
    assert len(verify(lake, code=1)["faults"]) == 1, "it is no longer in the index"
    shutil.move(lake.parent / "kept", folder)


def test_queues_and_releases(lake: Path, made: tuple[Path, RunRecord]) -> None:
    """A release log that points to a missing artifact, and records that no queue writes."""
    queue = Queue(Lake.open(lake).files, "current")
    queue.submit([EditRequest("q", "{} speaks", "bal", "fo", "ba")])
    queue.append_event(ReleaseEvent("begin", now(), ("1.1",)), 0)
    queue.append_event(ReleaseEvent("settle", now(), ("1.1",), state="ab" * 32), 1)
    (fault,) = verify(lake, code=1)["faults"]
    assert fault["wrong"] == "is gone, but release 2 of current points to it"
    (lake / "releases" / "current" / "00000001.json").unlink()
    (lake / "queues" / "current" / "00000001.json").write_text('{"value": {"at": 1}}')
    found = {fault["file"]: fault["wrong"] for fault in verify(lake, "--repair", code=1)["faults"]}
    assert found == {
        "queues/current/00000001.json": "is not a valid record of queues",
        "releases/current/00000001.json": "is missing, but later versions exist",
    }
    assert editflow("verify", "--lake", lake).err.splitlines()[-1] == "next: restore it from a copy of the lake"


def test_invalid_arguments_get_one_line(made: tuple[Path, RunRecord], tmp_path: Path) -> None:
    lake, record = made
    for words, fragment in (
        (["nothing"], "no run and no artifact 'nothing'"),
        (["  "], "no run and no artifact"),
        (["last", "--stage", "state"], "add --deep"),
        (["last", "--deep", "--stage", "stat"], "there are: model, documents"),
        (["0" * 64], "no run and no artifact"),
    ):
        refused(editflow("verify", *words, "--lake", lake), fragment)
    refused(editflow("verify", "--lake", tmp_path / "none"), "no lake at")
    several = Path(shutil.copytree(lake, tmp_path / "several"))
    runs = Runs(Lake.open(several).files)
    runs.start("a", {}, run_id=record.run_id[:-1])
    refused(editflow("verify", record.run_id[:4], "--lake", several), "ambiguous", "run")
    runs.start("b", {}, run_id=str(record.state)[:20])
    refused(editflow("verify", str(record.state)[:12], "--lake", several), "ambiguous", "run", "artifact")
