"""A snapshot changes what a reading costs and never what it tells: beside writers, removals, losses and damage."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pyarrow as pa
import pytest

from storage import folders, index, snapshot
from storage.catalog import Catalog
from storage.files import Files
from storage.identity import parent_pairs
from storage.index_faults import index_faults
from storage.manifest import manifest_name
from storage.query import connect, impact, lineage, query
from storage.runs import RunRecord, Runs, Use
from storage.store import Lake

VIEWS = ("artifacts", "edges", "runs", "uses")
DEAD = 2**22 + 1
"""No process has such a number."""


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every lake is a large one, and every change is worth another snapshot."""
    monkeypatch.setattr(index, "LARGE", -1)
    monkeypatch.setattr(index, "FOLD", 0)
    monkeypatch.setattr(folders, "TRUSTED", 10**8)


def told(lake: Lake) -> dict[str, list[str]]:
    with connect(lake, ()) as views:
        rows = {view: views.sql(f"FROM {view}").to_arrow_table().to_pylist() for view in VIEWS}
    return {view: sorted(map(repr, found)) for view, found in rows.items()}


def anew(lake: Lake) -> dict[str, list[str]]:
    """What is told where nobody has kept a snapshot."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(snapshot, "newest", lambda _files: None)
        patch.setattr(snapshot, "keep", lambda _files, _fill: None)
        patch.setattr(index, "LARGE", 2**40)
        return told(lake)


def kept(lake: Lake) -> list[str]:
    return [name for name in lake.files.list(snapshot.FOLDER) if name != "after"]


@dataclass
class History:
    """Things that happen to a lake, one by one."""

    lake: Lake
    table: Callable[..., pa.Table]
    draw: Random
    going: list[RunRecord] = field(default_factory=list)
    uses: dict[str, list[Use]] = field(default_factory=dict)
    made: list[str] = field(default_factory=list)
    unfinished: list[tuple[Path, Path]] = field(default_factory=list)
    number: int = 0

    def begin(self) -> None:
        run = Runs(self.lake.files).start(f"run {len(self.uses)}", {})
        self.going.append(run)
        self.uses[run.run_id] = []
        if self.draw.random() < 0.5:
            Catalog(self.lake).record_run(run)

    def make(self) -> None:
        """An artifact, of a run or of none; what was made before may be gone by now."""
        self.number += 1
        parents = {"state": self.draw.sample(self.made, min(len(self.made), 2))}
        run = self.draw.choice([None, *self.going])
        by = run and run.run_id
        ref = self.lake.write("model", 1, {"n": self.number}, parents, self.table("model"), created_by=by, seconds=1.5)
        self.made.append(ref.id)
        if run:
            self.uses[run.run_id].append(Use(ref.id, f"label {self.number}", "created", 1.5))

    def flush(self) -> None:
        for run in self.going:
            uses = [(run.run_id, use) for use in self.uses[run.run_id]]
            there = [made for _, use in uses if (made := self.lake.known(use.artifact))]
            Catalog(self.lake).record_many(artifacts=there, uses=uses)

    def finish(self) -> None:
        if self.going:
            run = self.going.pop(self.draw.randrange(len(self.going)))
            done = Runs(self.lake.files).finish(run, "completed", uses=self.uses[run.run_id])
            if self.draw.random() < 0.5:
                Catalog(self.lake).record_many(runs=[done], uses=[(run.run_id, use) for use in done.uses])

    def die(self) -> None:
        """A process is gone; what it reused is known to the index alone."""
        if self.going and self.made:
            run = self.going.pop()
            Catalog(self.lake).record_use(run.run_id, self.draw.choice(self.made), "met", "reused")
            name = self.lake.files.path(f"runs/{run.run_id}/started.json")
            text = Path(name).read_text().replace(f'"pid": {run.pid}', f'"pid": {DEAD}')
            Path(name).write_text(text)
            if self.draw.random() < 0.5:
                assert Runs(self.lake.files).close_dead()

    def interrupt(self) -> None:
        """A folder without a manifest, and perhaps its manifest later."""
        if self.unfinished:
            aside, manifest = self.unfinished.pop()
            aside.rename(manifest)
        else:
            self.make()
            manifest = Path(self.lake.files.path(manifest_name(self.made[-1])))
            aside = Path(self.lake.files.root) / f"aside-{self.number}"
            manifest.rename(aside)
            self.unfinished.append((aside, manifest))

    def remove(self) -> None:
        if self.made:
            id_ = self.made.pop(self.draw.randrange(len(self.made)))
            shutil.rmtree(Path(self.lake.files.path(manifest_name(id_))).parent, ignore_errors=True)
            self.unfinished = [pair for pair in self.unfinished if pair[1].parent.exists()]

    def repeat(self) -> None:
        if self.made and (manifest := self.lake.known(self.made[-1])):
            Catalog(self.lake).record_many(artifacts=[manifest, manifest])

    def lose(self) -> None:
        """A part of the index, or the latest snapshot."""
        lost = self.draw.choice(["artifacts", "runs", *(f"snapshot/{name}" for name in kept(self.lake)[-1:])])
        shutil.rmtree(self.lake.files.path(f"catalog/{lost}"), ignore_errors=True)

    def sound(self) -> None:
        """Lineage by the manifests themselves."""
        there = {made.id: made for made in self.lake.manifests()}
        for id_ in list(there)[:2]:
            up = {(step.via, step.id, step.role) for step in lineage(self.lake, id_)[1:]}
            waiting, met, edges = [id_], {id_}, set()
            while waiting:
                near = waiting.pop()
                for role, far in parent_pairs(there[near].parents) if near in there else ():
                    edges.add((near, far, role))
                    waiting += [far] if far not in met else []
                    met.add(far)
            assert up == edges


EVENTS = (History.begin, History.make, History.make, History.make, History.flush, History.finish, History.die,
          History.interrupt, History.remove, History.repeat, History.lose)  # fmt: skip


@pytest.mark.parametrize(("seed", "fold", "tail"), [(1, 0, 2000), (2, 3, 2000), (3, 0, 2), (4, 100, 2000)])
def test_with_a_snapshot_the_same_is_told(
    lake: Lake, table: Callable[..., pa.Table], monkeypatch: pytest.MonkeyPatch, seed: int, fold: int, tail: int
) -> None:
    monkeypatch.setattr(index, "FOLD", fold)
    monkeypatch.setattr(index, "TAIL", tail)
    history = History(lake, table, Random(seed))  # noqa: S311 - draws of a test
    used = 0
    for _ in range(8):
        for event in history.draw.choices(EVENTS, k=6):
            event(history)
        used += snapshot.newest(lake.files) is not None
        assert told(lake) == anew(lake)
        history.sound()
    assert used > 4, "the control: most of these were told from a snapshot"


@pytest.mark.parametrize("known", ["twice", "unfinished"])
def test_what_goes_while_it_is_read_leaves_no_hole(
    lake: Lake, table: Callable[..., pa.Table], monkeypatch: pytest.MonkeyPatch, known: str
) -> None:
    """Child and parent go after their folders were listed; of the parent only its manifest would have told."""
    run = Runs(lake.files).start("goes on", {}) if known == "unfinished" else None
    parent = lake.write("model", 1, {"n": 1}, {}, table("model"), created_by=run and run.run_id).id
    child = lake.write("model", 1, {"n": 2}, {"state": parent}, table("model")).id
    for _ in range(2 if known == "twice" else 0):
        Catalog(lake).record_many(artifacts=map(lake.manifest, (parent, child)))
    if run:
        assert len(told(lake)["artifacts"]) == 2, "and a snapshot is kept"
    seen = index.look

    def look_and_lose(files: Files, times: Mapping[str, int]) -> folders.Look:
        found = seen(files, times)
        for id_ in (child, parent):
            shutil.rmtree(Path(lake.files.path(manifest_name(id_))).parent, ignore_errors=True)
        return found

    monkeypatch.setattr(index, "look", look_and_lose)
    assert told(lake)["edges"] == []


def test_a_look_that_misses_what_is_new_is_found_out(
    lake: Lake, table: Callable[..., pa.Table], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control of the law above."""
    history = History(lake, table, Random(0))  # noqa: S311
    history.make()
    assert told(lake) == anew(lake)
    monkeypatch.setattr(folders, "TRUSTED", -(10**18))
    monkeypatch.setattr(folders, "_time", lambda _folder: 1)
    told(lake)
    history.make()
    assert told(lake) != anew(lake)


def test_nothing_is_kept_of_a_small_lake(lake: Lake, edited: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "LARGE", 2 * 2**20)
    assert query(lake, "FROM artifacts").num_rows == 12
    assert lineage(lake, edited["state2"])
    assert not kept(lake)


def test_a_second_reader_lists_no_folder_that_did_not_change(
    lake: Lake, edited: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "TRUSTED", -(10**18))
    before = lineage(lake, edited["state2"]), impact(lake, [edited["documents"]])
    listed = []
    monkeypatch.setattr(folders, "_names", lambda _files, shard: listed.append(shard) or [])
    assert (lineage(lake, edited["state2"]), impact(lake, [edited["documents"]])) == before
    there = {id_[:2] for name, id_ in edited.items() if name != "run"}
    assert not there.intersection(listed)


def test_a_young_time_is_not_trusted(lake: Lake, edited: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder may change once more within the same tick of the clock."""
    monkeypatch.setattr(folders, "TRUSTED", 10**18)
    assert query(lake, "FROM artifacts").num_rows == 12
    found = snapshot.newest(lake.files)
    assert found is not None
    assert found.head.times == {}
    assert edited


@pytest.mark.parametrize("part", ["head.json", "ids.npy", "child.npy", "rest-artifacts.parquet", "rest-uses.parquet"])
@pytest.mark.parametrize("damage", ["lost", "cut", "junk"])
def test_a_damaged_snapshot_counts_as_none(lake: Lake, edited: dict[str, str], part: str, damage: str) -> None:
    shutil.rmtree(lake.files.path("catalog/artifacts"))
    before = told(lake), lineage(lake, edited["state2"])
    path = Path(lake.files.path(f"{snapshot.FOLDER}/{kept(lake)[-1]}/{part}"))
    whole = path.read_bytes()
    path.unlink()
    if damage != "lost":
        path.write_bytes(whole[: len(whole) // 2] if damage == "cut" else b"junk" * 8)
    assert (told(lake), lineage(lake, edited["state2"])) == before


@pytest.mark.parametrize("part", ["head.json", "ids.npy", "parent.npy", "by_parent.npy", "rest-artifacts.parquet"])
def test_no_bit_of_a_snapshot_goes_astray_unseen(lake: Lake, edited: dict[str, str], part: str) -> None:
    """A reader looks at the head's checksum alone; the audit at all of them, and an index written anew has none."""
    before = told(lake)
    assert list(index_faults(lake)) == []
    path = Path(lake.files.path(f"{snapshot.FOLDER}/{kept(lake)[-1]}/{part}"))
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 4
    path.write_bytes(whole)
    (fault,) = index_faults(lake)
    assert (lake.files.path(fault.file), fault.mend) == (str(path), "index")
    Catalog(lake).rebuild()
    assert snapshot.newest(lake.files) is None
    assert list(index_faults(lake)) == []
    assert told(lake) == before


def test_checksums_go_on_to_what_is_kept_later(
    lake: Lake, edited: dict[str, str], table: Callable[..., pa.Table]
) -> None:
    history = History(lake, table, Random(0))  # noqa: S311
    for _ in range(3):
        history.make()
        told(lake)
    assert len(kept(lake)) > 1
    assert list(snapshot.broken(lake.files)) == []
    assert edited


def test_what_was_begun_before_a_removal_does_not_count(lake: Lake, edited: dict[str, str]) -> None:
    told(lake)
    assert snapshot.newest(lake.files) is not None
    snapshot.drop(lake.files)
    assert snapshot.newest(lake.files) is None
    told(lake)
    assert snapshot.newest(lake.files) is not None
    assert edited


def test_a_snapshot_that_cannot_be_written_is_done_without(lake: Lake, edited: dict[str, str]) -> None:
    Path(lake.files.path(snapshot.FOLDER)).write_text("no folder")
    assert query(lake, "FROM artifacts").num_rows == 12
    assert edited


def test_a_damaged_column_of_a_large_index_is_told_from_the_lake(lake: Lake, edited: dict[str, str]) -> None:
    """It is found when it is asked for: then the whole index is read, and what is damaged counts as lost."""
    sql = "SELECT id, spec, environment, about FROM artifacts ORDER BY id"
    before = query(lake, sql)
    for file in Catalog(lake).files("artifacts"):
        whole = bytearray(Path(file).read_bytes())
        middle = len(whole) // 2
        whole[middle : middle + 400] = bytes(400)
        Path(file).write_bytes(whole)
    assert query(lake, sql) == before
    assert edited
