"""Random histories of a lake, and what queries return for them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pyarrow as pa
import pytest

from editflow.storage.artifacts.identity import parent_pairs
from editflow.storage.artifacts.manifest import manifest_name
from editflow.storage.artifacts.store import Lake
from editflow.storage.index import index_reader, snapshot
from editflow.storage.index.catalog import Catalog
from editflow.storage.queries.query import connect, lineage
from editflow.storage.records.runs import RunRecord, Runs, Use

VIEWS = ("artifacts", "edges", "runs", "uses")
DEAD = 2**22 + 1
"""Above the largest process id."""


def view_rows(lake: Lake) -> dict[str, list[str]]:
    with connect(lake, ()) as views:
        rows = {view: views.sql(f"FROM {view}").to_arrow_table().to_pylist() for view in VIEWS}
    return {view: sorted(map(repr, found)) for view, found in rows.items()}


def view_rows_without_snapshot(lake: Lake) -> dict[str, list[str]]:
    """The rows of all views, read without a snapshot."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(snapshot, "latest", lambda _files: None)
        patch.setattr(snapshot, "write", lambda _files, _fill: None)
        patch.setattr(index_reader, "LARGE_INDEX_BYTES", 2**40)
        return view_rows(lake)


def kept(lake: Lake) -> list[str]:
    return [name for name in lake.files.list(snapshot.FOLDER) if name != "after"]


@dataclass
class History:
    """A lake and the events that change it, one method each."""

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
        """Create an artifact, of a run or of none; its parents may have been removed."""
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
            there = [made for _, use in uses if (made := self.lake.load_manifest(use.artifact))]
            Catalog(self.lake).record_many(artifacts=there, uses=uses)

    def finish(self) -> None:
        if self.going:
            run = self.going.pop(self.draw.randrange(len(self.going)))
            done = Runs(self.lake.files).finish(run, "completed", uses=self.uses[run.run_id])
            if self.draw.random() < 0.5:
                Catalog(self.lake).record_many(runs=[done], uses=[(run.run_id, use) for use in done.uses])

    def die(self) -> None:
        """Crash a run; only the index knows what it reused."""
        if self.going and self.made:
            run = self.going.pop()
            Catalog(self.lake).record_many(uses=[(run.run_id, Use(self.draw.choice(self.made), "met", "reused"))])
            name = self.lake.files.path(f"runs/{run.run_id}/started.json")
            text = Path(name).read_text().replace(f'"pid": {run.pid}', f'"pid": {DEAD}')
            Path(name).write_text(text)
            if self.draw.random() < 0.5:
                assert Runs(self.lake.files).mark_crashed()

    def interrupt(self) -> None:
        """Leave an artifact's folder without a manifest, or put such a manifest back."""
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
        if self.made and (manifest := self.lake.load_manifest(self.made[-1])):
            Catalog(self.lake).record_many(artifacts=[manifest, manifest])

    def lose(self) -> None:
        """Delete a table of the index or the latest snapshot."""
        lost = self.draw.choice(["artifacts", "runs", *(f"snapshot/{name}" for name in kept(self.lake)[-1:])])
        shutil.rmtree(self.lake.files.path(f"catalog/{lost}"), ignore_errors=True)

    def sound(self) -> None:
        """Assert that lineage equals a walk over the manifests."""
        there = {made.id: made for made in self.lake.manifests()}
        for id_ in list(there)[:2]:
            up = {(step.via, step.id, step.role) for step in lineage(self.lake, id_)[1:]}
            waiting, seen, edges = [id_], {id_}, set()
            while waiting:
                near = waiting.pop()
                for role, far in parent_pairs(there[near].parents) if near in there else ():
                    edges.add((near, far, role))
                    waiting += [far] if far not in seen else []
                    seen.add(far)
            assert up == edges


EVENTS = (History.begin, History.make, History.make, History.make, History.flush, History.finish, History.die,
          History.interrupt, History.remove, History.repeat, History.lose)  # fmt: skip
