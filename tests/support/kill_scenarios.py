"""The commands that tests kill, each with a lake to work on."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from editflow.storage.artifacts.store import Lake
from editflow.storage.records.runs import Runs
from support import tiny_queue, tiny_world
from support.damage import flip_bit
from support.hostile_cases.offline import without_prefect
from support.process_kills import Scene
from support.tiny_world import World, editflow

SMALL = ("requests.count=3", "corpus.tokens=600", "corpus.documents=15", "target_values.steps=4")
VARIANTS = """
[[variants]]
name = "one"

[[variants]]
name = "two"
edit.ridge = 5
"""
DAYS = 20 * 86_400
TUNED = ("threads=1", "corpus.min_characters=50", "corpus.window=32", "corpus.tokens=1500", "corpus.partitions=2",
         "corpus.held_out_tokens=200", "contexts.count=2", "contexts.tokens=4", "target_values.steps=4",
         "edit.layers=[1]")  # fmt: skip


@dataclass(frozen=True)
class Stock:
    """Prepared lakes below `folder`, to be copied: `one` with one run, `two` with two runs, `queue` with requests."""

    world: World
    folder: Path
    run: str

    def copy(self, name: str) -> Callable[[Path], None]:
        def prepare(folder: Path) -> None:
            shutil.copytree(self.folder / name / "lake", folder / "lake")

        return prepare


def stock(world: World, folder: Path) -> Stock:
    """Prepare the lakes by running the commands in this process."""
    settings = [part for setting in SMALL for part in ("--set", setting)]
    other = ["--set", "edit.layers=[1]", "--set", "edit.z_layer=1"]
    with pytest.MonkeyPatch.context() as patch:
        without_prefect(patch)
        _done("run", world.spec, "--lake", folder / "one" / "lake", *settings)
        shutil.copytree(folder / "one" / "lake", folder / "two" / "lake")
        _done("run", world.spec, "--lake", folder / "two" / "lake", *settings, *other)
    facts = tiny_world.write_lines(folder / "facts.jsonl", tiny_world.records(4))
    _done("submit", facts, "--lake", folder / "queue" / "lake")
    tiny_queue.served(world, folder)
    run = next(Runs(Lake.open(folder / "one" / "lake").files).all()).run_id
    return Stock(world, folder, run)


def _done(*words: object) -> None:
    answer = editflow(*words)
    assert answer.code == 0, answer.err


def scenes(stock: Stock) -> dict[str, Scene]:
    """The scenes by command."""
    world = stock.world
    small = [part for setting in SMALL for part in ("--set", setting)]
    tuned = [part for setting in TUNED for part in ("--set", setting)]
    served = str(stock.folder / "serve.toml")

    def nothing(folder: Path) -> None:
        del folder

    def compared(folder: Path) -> None:
        (folder / "compare.toml").write_text(
            world.spec.read_text().replace('"facts.jsonl"', f'"{world.facts}"') + VARIANTS
        )

    def old(folder: Path) -> None:
        stock.copy("two")(folder)
        for path in (folder / "lake").rglob("*"):
            was = path.stat()
            os.utime(path, (was.st_atime - DAYS, was.st_mtime - DAYS))

    def broken(folder: Path) -> None:
        stock.copy("one")(folder)
        made = tiny_world.artifacts(folder / "lake", "target_values") + tiny_world.artifacts(
            folder / "lake", "evaluation"
        )
        for manifest in made[:3]:
            flip_bit(tiny_world.payload(folder / "lake", manifest))
        tiny_world.payload(folder / "lake", tiny_world.artifacts(folder / "lake", "null_space")[0]).unlink()

    served_words = [part for setting in SMALL[1:] for part in ("--set", setting)]
    tune = [
        "tune",
        str(world.model),
        "--requests",
        str(world.facts),
        "--budget",
        "0.0001",
        "--facts",
        "3",
        "--corpus",
        str(world.corpus),
    ]
    found = [
        Scene("run", lambda _: ["run", str(world.spec), "--lake", "lake", *small], nothing),
        Scene("apply", lambda _: ["apply", served, "--lake", "lake", *served_words], stock.copy("queue")),
        Scene("compare", lambda _: ["compare", "compare.toml", "--lake", "lake", "--out", "page", *small], compared),
        Scene("tune", lambda _: [*tune, *tuned, "--lake", "lake"], nothing),
        Scene("rerun", lambda _: ["rerun", stock.run, "--lake", "lake"], stock.copy("one")),
        Scene("gc --delete", lambda _: ["gc", "--delete", "--keep-runs", "1", "--lake", "lake"], old, server=False),
        Scene("verify --repair", lambda _: ["verify", "--repair", "--lake", "lake"], broken, server=False),
        Scene("export-run", lambda _: ["export-run", stock.run, "--lake", "lake", "--out", "run.zip"],
            stock.copy("one"), ("run.zip",), server=False),
    ]  # fmt: skip
    return {scene.name: scene for scene in found}
