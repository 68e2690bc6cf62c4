"""What a kept run, a name, a release or a queue needs stays, and what was touched of late, beside writers."""

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
from editflow.storage.maintenance.garbage_collection import Census, census, remove, take
from editflow.storage.maintenance.orphans import find_orphans, remove_orphan
from editflow.storage.maintenance.retention_policy import Rule
from editflow.storage.queries.query import query
from editflow.storage.records.refs import Refs
from editflow.storage.records.runs import Runs, Use

pytestmark = pytest.mark.slow

OLD = 48
"""Hours since everything was touched, unless something is touched again."""
LATEST = Rule(runs=1)


@dataclass
class Kept:
    """A lake with a history: runs of two names, each reusing some of what there was."""

    lake: Lake
    table: Callable[..., pa.Table]
    number: int = 0

    def make(self, *parents: str, by: str | None = None) -> ArtifactRef:
        self.number += 1
        return self.lake.write(
            "model", 1, {"n": self.number}, {"from": list(parents)}, self.table("model"), created_by=by
        )

    def run(self, name: str, reused: Sequence[str], made: int = 3) -> list[str]:
        """A completed run: a chain of new artifacts that begins at those reused."""
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
        """All of it was last touched two days ago."""
        past = time.time() - 3600 * OLD
        for path in Path(self.lake.files.root).rglob("manifest.json"):
            os.utime(path, (past, past))

    @property
    def there(self) -> set[str]:
        return {made.id for made in self.lake.manifests()}

    def behind(self, *ids: str) -> set[str]:
        found, waiting = set[str](), list(ids)
        while waiting:
            id_ = waiting.pop()
            if id_ not in found:
                found.add(id_)
                waiting += [parent for _, parent in parent_pairs(self.lake.manifest(id_).parents)]
        return found

    def whole(self) -> None:
        """Everything that is there has all that it was made from, and its payload."""
        there = self.there
        for made in self.lake.manifests():
            assert {parent for _, parent in parent_pairs(made.parents)} <= there
            assert self.lake.fault(made.id) is None
        told = query(self.lake, "SELECT id FROM artifacts").column("id").to_pylist()
        assert sorted(told) == sorted(there)


@pytest.fixture
def kept(lake: Lake, table: Callable[..., pa.Table]) -> Kept:
    return Kept(lake, table)


def clear(lake: Lake, rule: Rule = LATEST, hours: float = 24) -> set[str]:
    return set(remove(lake, census(lake, rule, hours)))


def test_old_runs_go_and_what_newer_ones_reused_stays(kept: Kept) -> None:
    first = kept.run("a", [])
    second = kept.run("a", first[:2])
    other = kept.run("b", first[:1])
    kept.age()
    found = census(kept.lake, LATEST, 24)
    assert kept.there == {*first, *second, *other}, "a census takes nothing"
    assert [(row["kind"], row["artifacts"], row["unneeded"]) for row in found.kinds] == [("model", 9, 1)]
    assert found.kinds[0]["bytes"] > found.kinds[0]["unneeded_bytes"] > 0
    assert remove(kept.lake, found) == [first[2]]
    kept.whole()
    assert clear(kept.lake) == set()
    assert clear(kept.lake, Rule()) == set()


def test_children_go_before_what_they_were_made_from(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = kept.run("a", [], made=6)
    kept.run("a", [])
    kept.age()
    order = []
    monkeypatch.setattr(
        garbage_collection, "take", lambda lake, id_, before: order.append(id_) or take(lake, id_, before)
    )
    assert clear(kept.lake) == set(gone)
    assert order == gone[::-1]


def test_names_releases_and_queues_keep_what_they_speak_of(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [kept.run("a", []) for _ in range(6)]
    refs, releases, queues = (Refs(kept.lake.files, folder) for folder in ("refs", "releases", "queues"))
    refs.append("b", runs[0][-1])
    refs.append("b", runs[1][-1])
    for state in (runs[2][-1], runs[3][-1]):
        releases.append("current", {"move": "settle", "state": state})
    queues.append("current", {"requests": [{"made": runs[4][1]}]})
    kept.age()
    spoken = kept.behind(runs[1][-1], runs[2][-1], runs[3][-1], runs[4][1], runs[5][-1])
    found = census(kept.lake, LATEST, 24)
    with monkeypatch.context() as patch:
        patch.setattr(garbage_collection, "_named", lambda _lake: set())
        assert len(census(kept.lake, LATEST, 24).unneeded) > len(found.unneeded), "the control"
    remove(kept.lake, found)
    assert kept.there == spoken
    kept.whole()


def test_what_no_run_speaks_of_goes_by_its_age_alone(kept: Kept) -> None:
    alone = kept.make().id
    kept.run("a", [])
    kept.age()
    assert clear(kept.lake) == set()
    assert clear(kept.lake, Rule(days=1)) == set()
    time.sleep(0.01)
    assert clear(kept.lake, Rule(runs=1, days=1e-7)) == {alone}


def test_what_was_touched_of_late_stays_with_all_behind_it(kept: Kept) -> None:
    old, new = kept.run("a", []), kept.run("a", [])
    kept.age()
    kept.lake.find_and_touch(old[1])
    assert clear(kept.lake) == {old[2]}
    assert kept.there == {*old[:2], *new}
    kept.age()
    assert clear(kept.lake) == set(old[:2])


def test_a_run_that_goes_on_keeps_what_it_may_have_met(kept: Kept) -> None:
    """It began three days ago and met something two days ago; when it has ended, that is nobody's."""
    old, _ = kept.run("a", []), kept.run("a", [])
    runs = Runs(kept.lake.files)
    record = runs.start("long", {})
    path = Path(kept.lake.files.path(f"runs/{record.run_id}/started.json"))
    told = json.loads(path.read_text()) | {"started_at": (datetime.now(UTC) - timedelta(hours=72)).isoformat()}
    path.write_text(json.dumps(told))
    kept.age()
    assert clear(kept.lake) == set()
    runs.finish(record, "completed")
    assert clear(kept.lake) == set(old)


def test_a_writer_that_comes_in_between_keeps_what_it_met(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted as needed by nobody, then met by a run: it stays with all behind it, and what is made of it is whole."""
    old, _ = kept.run("a", [], made=4), kept.run("a", [])
    kept.age()
    found = census(kept.lake, LATEST, 24)
    with monkeypatch.context() as patch:
        patch.setattr(Lake, "touch", lambda _lake, _id: None)
        assert kept.lake.find_and_touch(old[2]) is not None
        assert set(doomed(kept.lake, found)) == set(old), "the control: nothing would say so"
    assert kept.lake.find_and_touch(old[2]) is not None
    assert remove(kept.lake, found) == [old[3]]
    kept.run("b", [old[2]])
    kept.whole()


def test_a_child_that_is_written_in_between_keeps_its_parents(kept: Kept) -> None:
    old, _ = kept.run("a", []), kept.run("a", [])
    kept.age()
    found = census(kept.lake, LATEST, 24)
    kept.make(old[1])
    assert remove(kept.lake, found) == [old[2]]
    kept.whole()


def doomed(lake: Lake, found: Census) -> Iterator[str]:
    """What would be removed, looked at without removing it."""
    for node in found.unneeded:
        (id_,) = found.graph.ids_at(pa.array([node]).to_numpy())
        if Path(lake.files.path(manifest_name(id_))).stat().st_mtime < found.before:
            yield id_


@pytest.mark.parametrize("writes", ["nothing", "payload", "all"])
def test_the_moment_between_the_look_and_the_removal(kept: Kept, monkeypatch: pytest.MonkeyPatch, writes: str) -> None:
    """Touched just before it was moved aside: it is put back, where a writer has made none or a part of it again."""
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
    assert clear(lake) == set()
    assert old[0] in kept.there
    assert not list(Path(lake.files.root).rglob(".tmp-*"))
    kept.whole()


def test_killed_after_any_step(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was moved aside is litter, in time; everything else is as it was."""
    old, _ = kept.run("a", []), kept.run("a", [])
    kept.age()
    found = census(kept.lake, LATEST, 24)
    with monkeypatch.context() as patch:
        patch.setattr(type(kept.lake.files), "remove_folder", lambda _files, _folder: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            remove(kept.lake, found)
    assert kept.there & set(old) == set(old[:2])
    kept.whole()
    (aside,) = Path(kept.lake.files.root).glob("artifacts/*/.tmp-*")
    pieces = list(find_orphans(kept.lake, 0))
    assert {piece.what for piece in pieces} == {"unfinished file"}
    assert all(remove_orphan(kept.lake, piece, 0) for piece in pieces)
    assert not aside.exists()
    assert clear(kept.lake) == set(old[:2])
    kept.whole()


def test_what_was_removed_can_be_made_again(kept: Kept) -> None:
    old, _ = kept.run("a", [], made=1), kept.run("a", [])
    before = made_at(kept.lake, old[0])
    kept.age()
    assert clear(kept.lake) == set(old)
    assert old[0] not in [id_ for file in Catalog(kept.lake).files("artifacts") for id_ in _ids(file)]
    time.sleep(0.01)
    assert kept.lake.write("model", 1, {"n": 1}, {"from": []}, kept.table("model")).id == old[0]
    assert made_at(kept.lake, old[0]) > before
    kept.whole()


def made_at(lake: Lake, id_: str) -> datetime:
    rows = query(lake, "SELECT id, created_at FROM artifacts").to_pylist()
    return next(row["created_at"] for row in rows if row["id"] == id_)


def _ids(file: str) -> list[str]:
    return list(parquet.read_table(file, columns=["id"]).column("id").to_pylist())


@pytest.mark.parametrize("seed", range(3))
def test_any_history(kept: Kept, seed: int) -> None:
    """Held against sets: what stays is what is behind the kept runs, and nothing else."""
    draw = Random(seed)  # noqa: S311 - draws of a test
    runs: list[tuple[str, list[str], list[str]]] = []
    for _ in range(8):
        there = [id_ for _, _, made in runs for id_ in made]
        reused = draw.sample(there, min(len(there), draw.randrange(3)))
        name = draw.choice("abc")
        runs.append((name, reused, kept.run(name, reused, made=draw.randrange(1, 4))))
    kept.age()
    rule = Rule(runs=draw.randrange(1, 3))
    counted: dict[str, int] = {}
    needed = set[str]()
    for name, reused, made in reversed(runs):
        counted[name] = counted.get(name, 0) + 1
        if counted[name] <= (rule.runs or 0):
            needed |= kept.behind(*reused, *made)
    before = kept.there
    assert clear(kept.lake, rule) == before - needed
    assert kept.there == needed
    kept.whole()
    shutil.rmtree(kept.lake.files.path("catalog"))
    kept.whole()


def test_a_damaged_name_keeps_all_that_it_stood_for(kept: Kept) -> None:
    """Its latest value is told to be deleted, or a file that is no version: what it then stands for is there."""
    runs = [kept.run("a", []) for _ in range(3)]
    refs = Refs(kept.lake.files)
    for name, state in (("torn", runs[0][-1]), ("torn", runs[2][-1]), ("strange", runs[1][-1])):
        refs.append(name, state)
    Path(kept.lake.files.path(refs.file("torn", 2))).write_bytes(b"\0" * 40)
    Path(kept.lake.files.path("refs/strange/.DS_Store")).write_bytes(b"what is no version")
    kept.age()
    assert clear(kept.lake) == set()


def test_what_a_kept_run_reused_stays_where_the_index_has_lost_it(kept: Kept) -> None:
    """The table is gone, and whoever came next has begun another one; the run's record tells."""
    first = kept.run("a", [])
    second = kept.run("a", first[:2])
    shutil.rmtree(kept.lake.files.path("catalog/uses"))
    kept.run("b", [])
    for id_ in second:  # reused, and nothing that is there was made from it
        shutil.rmtree(Path(kept.lake.files.path(manifest_name(id_))).parent)
    kept.age()
    assert clear(kept.lake) == {first[2]}
    assert set(first[:2]) <= kept.there


def test_a_row_of_the_index_with_a_bit_astray_costs_nothing(kept: Kept) -> None:
    """It names a parent that nobody knows, and the manifest the one that is needed."""
    base = kept.run("a", [], made=1)
    new = kept.make(*base, by="2026-0003")
    shutil.rmtree(kept.lake.files.path("catalog/artifacts"))
    told = kept.lake.manifest(new.id)
    Catalog(kept.lake).record_artifact(replace(told, parents={"from": ["0" * 64]}))
    Refs(kept.lake.files).append("a", new.id)
    kept.run("a", [])
    kept.age()
    assert clear(kept.lake) == set()


def test_a_damaged_snapshot_costs_nothing(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """Readers take its arrays as they are; who removes by them holds them against their checksums."""
    monkeypatch.setattr(index_reader, "LARGE_INDEX_BYTES", -1)
    kept.run("a", kept.run("a", [])[-1:])
    kept.age()
    assert query(kept.lake, "FROM artifacts").num_rows == 6
    found = snapshot.latest(kept.lake.files)
    assert found is not None
    child = Path(kept.lake.files.path(f"{found.folder}/child.npy"))
    whole = child.read_bytes()
    child.write_bytes(whole[:128] + bytes(len(whole) - 128))  # whatever was made, it was the first
    assert clear(kept.lake) == set()
    kept.whole()


def test_what_is_written_again_is_in_use(kept: Kept) -> None:
    old, _ = kept.run("a", [], made=1), kept.run("a", [])
    kept.age()
    assert kept.lake.write("model", 1, {"n": 1}, {"from": []}, kept.table("model")).id == old[0]
    assert clear(kept.lake) == set()


def test_two_cleaners_at_once(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one has moved aside is litter to the other."""
    old, _ = kept.run("a", [], made=2), kept.run("a", [])
    kept.age()
    remove_folder = type(kept.lake.files).remove_folder

    def beaten(files: Files, folder: str) -> None:
        remove_folder(files, folder)
        remove_folder(files, folder)

    monkeypatch.setattr(type(kept.lake.files), "remove_folder", beaten)
    assert clear(kept.lake) == set(old)


def test_what_was_removed_and_made_again_can_be_lost(kept: Kept) -> None:
    """Verify passes over what a run used before it was removed, and not over what a later one has made again."""
    old, _ = kept.run("a", [], made=1), kept.run("a", [])
    kept.age()
    assert clear(kept.lake) == set(old)
    assert list(Audit(kept.lake).of_runs(Runs(kept.lake.files).ids(), lambda _n: None)) == []
    time.sleep(0.01)
    assert kept.lake.write("model", 1, {"n": 1}, {"from": []}, kept.table("model")).id == old[0]
    runs = Runs(kept.lake.files)
    runs.finish(runs.start("b", {}), "completed", uses=[Use(old[0], "made", "created")])
    shutil.rmtree(Path(kept.lake.files.path(manifest_name(old[0]))).parent)
    (fault,) = Audit(kept.lake).of_runs(Runs(kept.lake.files).ids(), lambda _n: None)
    assert (fault.id, fault.lost) == (old[0], True)
