"""Garbage collection keeps what runs, names, releases and queues need, and recently touched artifacts."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pyarrow as pa
import pytest
from pyarrow import parquet

from editflow.storage.artifacts.identity import parent_pairs
from editflow.storage.artifacts.manifest import manifest_name
from editflow.storage.artifacts.store import ArtifactRef, Lake
from editflow.storage.files import Files
from editflow.storage.index import index_reader, snapshot
from editflow.storage.index.catalog import Catalog
from editflow.storage.maintenance import garbage_collection
from editflow.storage.maintenance.audit import Audit
from editflow.storage.maintenance.garbage_collection import Census, census, remove, remove_if_untouched
from editflow.storage.maintenance.orphans import find_orphans, remove_orphan
from editflow.storage.maintenance.retention_policy import RetentionRule
from editflow.storage.queries.query import query
from editflow.storage.records.refs import Refs
from editflow.storage.records.runs import Runs, Use

pytestmark = pytest.mark.slow

OLD = 48
"""Hours since all artifacts were last touched, unless a test touches one."""
LATEST = RetentionRule(runs=1)


@dataclass
class History:
    """A lake with a history of runs that may reuse earlier artifacts."""

    lake: Lake
    table: Callable[..., pa.Table]
    number: int = 0

    def make(self, *parents: str, by: str | None = None) -> ArtifactRef:
        self.number += 1
        return self.lake.write(
            "model", 1, {"n": self.number}, {"from": list(parents)}, self.table("model"), created_by=by
        )

    def run(self, name: str, reused: Sequence[str], made: int = 3) -> list[str]:
        """Record a completed run that creates a chain of artifacts, the first made from the reused ones."""
        runs = Runs(self.lake.files)
        record = runs.start(name, {}, run_id=f"2026-{self.number:04d}")
        chain: list[str] = []
        for _ in range(made):
            chain.append(self.make(*(chain[-1:] or reused), by=record.run_id).id)
        uses = [*(Use(id_, "met", "reused") for id_ in reused), *(Use(id_, "made", "created") for id_ in chain)]
        done = runs.finish(record, "completed", state=chain[-1], uses=uses)
        Catalog(self.lake).record_many(runs=[done], uses=[(record.run_id, use) for use in uses],
                                       artifacts=[self.lake.manifest(id_) for id_ in chain])  # fmt: skip
        return chain

    def age(self) -> None:
        """Set the last touch of all artifacts to two days ago."""
        past = time.time() - 3600 * OLD
        for path in Path(self.lake.files.root).rglob("manifest.json"):
            os.utime(path, (past, past))

    @property
    def ids(self) -> set[str]:
        return {made.id for made in self.lake.manifests()}

    def upstream(self, *ids: str) -> set[str]:
        found, waiting = set[str](), list(ids)
        while waiting:
            id_ = waiting.pop()
            if id_ not in found:
                found.add(id_)
                waiting += [parent for _, parent in parent_pairs(self.lake.manifest(id_).parents)]
        return found

    def check(self) -> None:
        """Assert that every artifact has all its parents and its payload, and that the index lists exactly these."""
        existing = self.ids
        for made in self.lake.manifests():
            assert {parent for _, parent in parent_pairs(made.parents)} <= existing
            assert self.lake.fault(made.id) is None
        indexed = query(self.lake, "SELECT id FROM artifacts").column("id").to_pylist()
        assert sorted(indexed) == sorted(existing)


@pytest.fixture
def kept(lake: Lake, table: Callable[..., pa.Table]) -> History:
    return History(lake, table)


def collect(lake: Lake, rule: RetentionRule = LATEST, hours: float = 24) -> set[str]:
    return set(remove(lake, census(lake, rule, hours)))


def test_artifacts_of_old_runs_are_removed_unless_newer_runs_reuse_them(kept: History) -> None:
    first = kept.run("a", [])
    second = kept.run("a", first[:2])
    other = kept.run("b", first[:1])
    kept.age()
    found = census(kept.lake, LATEST, 24)
    assert kept.ids == {*first, *second, *other}, "a census removes nothing"
    assert [(row["kind"], row["artifacts"], row["unneeded"]) for row in found.kinds] == [("model", 9, 1)]
    assert found.kinds[0]["bytes"] > found.kinds[0]["unneeded_bytes"] > 0
    assert remove(kept.lake, found) == [first[2]]
    kept.check()
    assert collect(kept.lake) == set()
    assert collect(kept.lake, RetentionRule()) == set()


def test_children_are_removed_before_their_parents(kept: History, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = kept.run("a", [], made=6)
    kept.run("a", [])
    kept.age()
    order = []
    monkeypatch.setattr(
        garbage_collection,
        "remove_if_untouched",
        lambda lake, id_, before: order.append(id_) or remove_if_untouched(lake, id_, before),
    )
    assert collect(kept.lake) == set(gone)
    assert order == gone[::-1]


def test_names_releases_and_queues_protect_their_artifacts(kept: History, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [kept.run("a", []) for _ in range(6)]
    refs, releases, queues = (Refs(kept.lake.files, folder) for folder in ("refs", "releases", "queues"))
    refs.append("b", runs[0][-1])
    refs.append("b", runs[1][-1])
    for state in (runs[2][-1], runs[3][-1]):
        releases.append("current", {"move": "settle", "state": state})
    queues.append("current", {"requests": [{"made": runs[4][1]}]})
    kept.age()
    protected = kept.upstream(runs[1][-1], runs[2][-1], runs[3][-1], runs[4][1], runs[5][-1])
    found = census(kept.lake, LATEST, 24)
    with monkeypatch.context() as patch:
        patch.setattr(garbage_collection, "_named_artifacts", lambda _lake: set())
        assert len(census(kept.lake, LATEST, 24).unneeded) > len(found.unneeded), "the control"
    remove(kept.lake, found)
    assert kept.ids == protected
    kept.check()


def test_artifacts_of_no_run_are_removed_by_age_alone(kept: History) -> None:
    alone = kept.make().id
    kept.run("a", [])
    kept.age()
    assert collect(kept.lake) == set()
    assert collect(kept.lake, RetentionRule(days=1)) == set()
    time.sleep(0.01)
    assert collect(kept.lake, RetentionRule(runs=1, days=1e-7)) == {alone}


def test_a_recently_touched_artifact_is_kept_with_its_ancestors(kept: History) -> None:
    old, new = kept.run("a", []), kept.run("a", [])
    kept.age()
    kept.lake.find_and_touch(old[1])
    assert collect(kept.lake) == {old[2]}
    assert kept.ids == {*old[:2], *new}
    kept.age()
    assert collect(kept.lake) == set(old[:2])


def test_a_running_run_protects_artifacts_touched_since_its_start(kept: History) -> None:
    """It began three days ago and may use what was touched two days ago; once it has ended, nothing needs that."""
    old, _ = kept.run("a", []), kept.run("a", [])
    runs = Runs(kept.lake.files)
    record = runs.start("long", {})
    path = Path(kept.lake.files.path(f"runs/{record.run_id}/started.json"))
    changed = json.loads(path.read_text()) | {"started_at": (datetime.now(UTC) - timedelta(hours=72)).isoformat()}
    path.write_text(json.dumps(changed))
    kept.age()
    assert collect(kept.lake) == set()
    runs.finish(record, "completed")
    assert collect(kept.lake) == set(old)


def test_a_writer_that_touches_an_artifact_after_the_census_keeps_it(
    kept: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is kept with its ancestors, and artifacts made from it are complete."""
    old, _ = kept.run("a", [], made=4), kept.run("a", [])
    kept.age()
    found = census(kept.lake, LATEST, 24)
    with monkeypatch.context() as patch:
        patch.setattr(Lake, "touch", lambda _lake, _id: None)
        assert kept.lake.find_and_touch(old[2]) is not None
        assert set(removable(kept.lake, found)) == set(old), "the control: without the touch, all would be removed"
    assert kept.lake.find_and_touch(old[2]) is not None
    assert remove(kept.lake, found) == [old[3]]
    kept.run("b", [old[2]])
    kept.check()


def test_a_child_that_is_written_after_the_census_keeps_its_parents(kept: History) -> None:
    old, _ = kept.run("a", []), kept.run("a", [])
    kept.age()
    found = census(kept.lake, LATEST, 24)
    kept.make(old[1])
    assert remove(kept.lake, found) == [old[2]]
    kept.check()


def removable(lake: Lake, found: Census) -> Iterator[str]:
    """The artifacts that would be removed."""
    for node in found.unneeded:
        (id_,) = found.graph.ids_at(pa.array([node]).to_numpy())
        if Path(lake.files.path(manifest_name(id_))).stat().st_mtime < found.before:
            yield id_


@pytest.mark.parametrize("writes", ["nothing", "payload", "all"])
def test_an_artifact_touched_during_its_removal_is_restored(
    kept: History, monkeypatch: pytest.MonkeyPatch, writes: str
) -> None:
    """Also if a writer has meanwhile recreated a part of it, or all of it."""
    old, _ = kept.run("a", [], made=1), kept.run("a", [])
    kept.age()
    lake, rename = kept.lake, Path.rename

    def late(path: Path, to: Path) -> Path:
        if path.name == old[0]:
            lake.touch(old[0])
        moved = rename(path, to)
        if path.name == old[0] and writes != "nothing":
            assert lake.find_and_touch(old[0]) is None
            assert lake.write("model", 1, {"n": 1}, {"from": []}, kept.table("model")).id == old[0]
        if path.name == old[0] and writes == "payload":
            (path / "manifest.json").unlink()
        return moved

    monkeypatch.setattr(Path, "rename", late)
    assert collect(lake) == set()
    assert old[0] in kept.ids
    assert not list(Path(lake.files.root).rglob(".tmp-*"))
    kept.check()


def test_a_killed_gc_leaves_a_valid_lake(kept: History, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was moved aside becomes an orphan; everything else is unchanged."""
    old, _ = kept.run("a", []), kept.run("a", [])
    kept.age()
    found = census(kept.lake, LATEST, 24)
    with monkeypatch.context() as patch:
        patch.setattr(type(kept.lake.files), "remove_folder", lambda _files, _folder: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            remove(kept.lake, found)
    assert kept.ids & set(old) == set(old[:2])
    kept.check()
    (aside,) = Path(kept.lake.files.root).glob("artifacts/*/.tmp-*")
    pieces = list(find_orphans(kept.lake, 0))
    assert {piece.what for piece in pieces} == {"unfinished file"}
    assert all(remove_orphan(kept.lake, piece, 0) for piece in pieces)
    assert not aside.exists()
    assert collect(kept.lake) == set(old[:2])
    kept.check()


def test_a_removed_artifact_can_be_created_again(kept: History) -> None:
    old, _ = kept.run("a", [], made=1), kept.run("a", [])
    before = created_at(kept.lake, old[0])
    kept.age()
    assert collect(kept.lake) == set(old)
    assert old[0] not in [id_ for file in Catalog(kept.lake).files("artifacts") for id_ in _ids(file)]
    time.sleep(0.01)
    assert kept.lake.write("model", 1, {"n": 1}, {"from": []}, kept.table("model")).id == old[0]
    assert created_at(kept.lake, old[0]) > before
    kept.check()


def created_at(lake: Lake, id_: str) -> datetime:
    rows = query(lake, "SELECT id, created_at FROM artifacts").to_pylist()
    return next(row["created_at"] for row in rows if row["id"] == id_)


def _ids(file: str) -> list[str]:
    return list(parquet.read_table(file, columns=["id"]).column("id").to_pylist())


@pytest.mark.parametrize("seed", range(3))
def test_random_histories_match_a_model_on_sets(kept: History, seed: int) -> None:
    """Exactly the artifacts upstream of the protected runs are kept."""
    draw = Random(seed)  # noqa: S311 - draws of a test
    runs: list[tuple[str, list[str], list[str]]] = []
    for _ in range(8):
        existing = [id_ for _, _, made in runs for id_ in made]
        reused = draw.sample(existing, min(len(existing), draw.randrange(3)))
        name = draw.choice("abc")
        runs.append((name, reused, kept.run(name, reused, made=draw.randrange(1, 4))))
    kept.age()
    rule = RetentionRule(runs=draw.randrange(1, 3))
    counted: dict[str, int] = {}
    needed = set[str]()
    for name, reused, made in reversed(runs):
        counted[name] = counted.get(name, 0) + 1
        if counted[name] <= (rule.runs or 0):
            needed |= kept.upstream(*reused, *made)
    before = kept.ids
    assert collect(kept.lake, rule) == before - needed
    assert kept.ids == needed
    kept.check()
    shutil.rmtree(kept.lake.files.path("catalog"))
    kept.check()


def test_a_damaged_name_protects_all_its_earlier_values(kept: History) -> None:
    """The remedy for a damaged value, or for a foreign file, is to delete it: the value before must then exist."""
    runs = [kept.run("a", []) for _ in range(3)]
    refs = Refs(kept.lake.files)
    for name, state in (("torn", runs[0][-1]), ("torn", runs[2][-1]), ("strange", runs[1][-1])):
        refs.append(name, state)
    Path(kept.lake.files.path(refs.file("torn", 2))).write_bytes(b"\0" * 40)
    Path(kept.lake.files.path("refs/strange/.DS_Store")).write_bytes(b"not a version")
    kept.age()
    assert collect(kept.lake) == set()


def test_run_records_protect_artifacts_whose_uses_the_index_has_lost(kept: History) -> None:
    """The table of uses was deleted, and a later run has started a new one."""
    first = kept.run("a", [])
    second = kept.run("a", first[:2])
    shutil.rmtree(kept.lake.files.path("catalog/uses"))
    kept.run("b", [])
    for id_ in second:  # so that no child protects the reused artifacts
        shutil.rmtree(Path(kept.lake.files.path(manifest_name(id_))).parent)
    kept.age()
    assert collect(kept.lake) == {first[2]}
    assert set(first[:2]) <= kept.ids


def test_a_corrupt_index_row_removes_no_needed_artifact(kept: History) -> None:
    """The row names an unknown parent; the manifest names the needed one."""
    base = kept.run("a", [], made=1)
    new = kept.make(*base, by="2026-0003")
    shutil.rmtree(kept.lake.files.path("catalog/artifacts"))
    made = kept.lake.manifest(new.id)
    Catalog(kept.lake).record_artifact(replace(made, parents={"from": ["0" * 64]}))
    Refs(kept.lake.files).append("a", new.id)
    kept.run("a", [])
    kept.age()
    assert collect(kept.lake) == set()


def test_a_damaged_snapshot_removes_no_needed_artifact(kept: History, monkeypatch: pytest.MonkeyPatch) -> None:
    """Readers trust its arrays; gc verifies their checksums."""
    monkeypatch.setattr(index_reader, "LARGE_INDEX_BYTES", -1)
    kept.run("a", kept.run("a", [])[-1:])
    kept.age()
    assert query(kept.lake, "FROM artifacts").num_rows == 6
    found = snapshot.latest(kept.lake.files)
    assert found is not None
    child = Path(kept.lake.files.path(f"{found.folder}/child.npy"))
    whole = child.read_bytes()
    child.write_bytes(whole[:128] + bytes(len(whole) - 128))  # every edge now starts at the first artifact
    assert collect(kept.lake) == set()
    kept.check()


def test_writing_an_existing_artifact_again_protects_it(kept: History) -> None:
    old, _ = kept.run("a", [], made=1), kept.run("a", [])
    kept.age()
    assert kept.lake.write("model", 1, {"n": 1}, {"from": []}, kept.table("model")).id == old[0]
    assert collect(kept.lake) == set()


def test_two_gcs_at_once(kept: History, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one has moved aside is an orphan to the other."""
    old, _ = kept.run("a", [], made=2), kept.run("a", [])
    kept.age()
    remove_folder = type(kept.lake.files).remove_folder

    def removed_first(files: Files, folder: str) -> None:
        remove_folder(files, folder)
        remove_folder(files, folder)

    monkeypatch.setattr(type(kept.lake.files), "remove_folder", removed_first)
    assert collect(kept.lake) == set(old)


def test_a_removed_and_recreated_artifact_is_reported_if_lost(kept: History) -> None:
    """The audit ignores a removed artifact of an earlier run, but not one that a later run has created again."""
    old, _ = kept.run("a", [], made=1), kept.run("a", [])
    kept.age()
    assert collect(kept.lake) == set(old)
    assert list(Audit(kept.lake).check_runs(Runs(kept.lake.files).ids(), lambda _n: None)) == []
    time.sleep(0.01)
    assert kept.lake.write("model", 1, {"n": 1}, {"from": []}, kept.table("model")).id == old[0]
    runs = Runs(kept.lake.files)
    runs.finish(runs.start("b", {}), "completed", uses=[Use(old[0], "made", "created")])
    shutil.rmtree(Path(kept.lake.files.path(manifest_name(old[0]))).parent)
    (fault,) = Audit(kept.lake).check_runs(Runs(kept.lake.files).ids(), lambda _n: None)
    assert (fault.id, fault.lost) == (old[0], True)
