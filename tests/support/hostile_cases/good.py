"""The valid inputs that cases change copies of: a lake with a run, its bundle, models and facts; a folder outside."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from oracle.tiny import FAMILIES

from editflow.storage.artifacts.store import Lake
from editflow.storage.index.catalog import Catalog
from editflow.storage.json_records import now
from editflow.storage.records.refs import Refs
from editflow.tasks.releases.queue import Queue, ReleaseEvent
from support import tiny_world
from support.hostile_cases.shapes import write_shapes
from support.tiny_words import word_tokenizer
from support.tiny_world import World, editflow

RUN, LATER = "20261103T101112-0a0b0c", "20261104T101112-0a0b0c"
SECRET = "canary-5d1f0c2ea9b84e7d-secret"  # noqa: S105 - must not be printed or written anywhere
SMALL = (
    "requests.count=2", "edit.layers=[1]", "edit.z_layer=1", "edit.batch_size=1", "corpus.tokens=300",
    "corpus.documents=8",
    "corpus.held_out_documents=2", "corpus.held_out_tokens=60", "corpus.partitions=1", "target_values.steps=3",
)  # fmt: skip
DAYS = 20 * 86_400 * 10**9


@dataclass(frozen=True)
class Good:
    """Paths below `base`: `good` has the inputs, `outside` must not be touched, `cases` has one folder per case."""

    base: Path

    @property
    def world(self) -> World:
        return World(self.base / "good" / "world")

    @property
    def lake(self) -> Path:
        return self.base / "good" / "lake"

    @property
    def bundle(self) -> Path:
        return self.base / "good" / "tiny-run.zip"

    @property
    def models(self) -> Path:
        return self.base / "good" / "models"

    @property
    def facts(self) -> Path:
        return self.base / "good" / "facts"

    @property
    def outside(self) -> Path:
        return self.base / "outside"

    @property
    def spec(self) -> Path:
        return self.base / "good" / "world" / "small.toml"


def make(base: Path) -> Good:
    """Create a tiny run, its report and bundle, a queue, a release, and a model per architecture. Takes seconds."""
    good = Good(base)
    for name in ("good", "outside", "home", "tmp", "cache", "cases"):
        (base / name).mkdir(parents=True)
    tiny_world.make(good.world.folder)
    good.spec.write_text(_small(good.world.spec.read_text()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("editflow.storage.records.runs.new_run_id", lambda: RUN)
        record = tiny_world.record_directly(good.spec, good.lake)
        patch.setattr("editflow.storage.records.runs.new_run_id", lambda: LATER)
        two = tiny_world.write_lines(good.world.folder / "two.jsonl", tiny_world.records(2))
        assert editflow("submit", two, "--lake", good.lake).code == 0
        again = tiny_world.record_directly(good.spec, good.lake)
    lake = Lake.open(good.lake)
    Refs(lake.files).set("tiny", record.state, 0)
    queue = Queue(lake.files, "current")
    for n, entry in enumerate(queue.entries()):
        queue.append_event(ReleaseEvent("begin", now(), (entry.id,)), 2 * n)
        queue.append_event(
            ReleaseEvent("settle", now(), (entry.id,), state=record.state, measures={"efficacy": 1.0}, run=LATER),
            2 * n + 1,
        )
    Catalog(lake).record_many(artifacts=lake.manifests(), runs=[record], uses=[(RUN, use) for use in record.uses])
    Catalog(lake).record_many(runs=[again], uses=[(LATER, use) for use in again.uses])
    first = (
        ["plan", good.spec],
        ["report", RUN, "--out", base / "good" / "r.html"],
        ["export-run", RUN, "--out", good.bundle],
    )
    for words in first:  # import their modules before any case is timed
        answer = editflow(*words, "--lake", good.lake)
        assert answer.code == 0, answer.err
    for name, build in FAMILIES.items():
        folder = good.models / name
        model = build().model.float()
        model.save_pretrained(folder)
        word_tokenizer(bos=True).save_pretrained(folder)
    write_shapes(good.facts)
    (good.outside / "secret.txt").write_text(f"{SECRET}\n")
    (good.outside / "secret.jsonl").write_text(json.dumps({"subject": SECRET, "prompt": "{} is", "target_new": SECRET}))
    shutil.copytree(good.lake, good.outside / "victim")
    age(base / "good")
    age(good.outside)
    return good


def age(folder: Path) -> None:
    """Make all files twenty days older, in the same order, so that `gc` may collect them."""
    for path in folder.rglob("*"):
        was = path.stat().st_mtime_ns - DAYS
        os.utime(path, ns=(was, was))


def _small(text: str) -> str:
    """The tiny spec with the SMALL settings."""
    import tomllib

    import tomli_w

    tree = tomllib.loads(text)
    for setting in SMALL:
        key, _, value = setting.partition("=")
        section, _, name = key.partition(".")
        tree[section][name] = json.loads(value)
    return tomli_w.dumps(tree)
