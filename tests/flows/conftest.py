"""A tiny world for whole runs, and one finished run to read from or copy."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support import tiny_world
from support.hostile_cases.laws import Watch, watched
from support.tiny_world import World

from editflow.tasks.models.model_identity import open_model


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Model, corpus, requests and spec; tests change copies, never these files."""
    return tiny_world.make(tmp_path_factory.mktemp("world"))


@dataclass(frozen=True)
class Finished:
    """A lake with one finished run."""

    lake: Path
    record: dict[str, Any]


@pytest.fixture(scope="session")
def reference(world: World, server: str, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """One uninterrupted run of the tiny spec. Read only: tests that change a lake take `copied`."""
    del server
    open_model.cache_clear()
    lake = tmp_path_factory.mktemp("reference") / "lake"
    return Finished(lake, tiny_world.run(world.spec, lake))


HOSTILE = (
    "<script>document.title = 'taken'</script>",
    '"><img src=x onerror="document.title=\'taken\'">',
    "\x1b[31mred\x1b]8;;http://x.invalid\x07link\x07",
    "\u202ede\u202csrever \u200bhidden",
    "{{ 7 * 7 }} {% raw %} </title></style></script><!--",
    "x" * 10_240,
)


@pytest.fixture(scope="session")
def hostile(world: World, server: str, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A run over facts whose texts contain control sequences and markup; evaluated after each batch."""
    del server
    open_model.cache_clear()
    folder = tmp_path_factory.mktemp("hostile")
    rows = tiny_world.records(len(HOSTILE))
    for row, text in zip(rows, HOSTILE, strict=True):
        rewrite = row["requested_rewrite"]
        # Edited text may have no control characters and a limited length; other prompts may be anything.
        edited = "".join(c for c in text if c not in "\x1b\x07")[:9_900]
        rewrite["subject"], rewrite["target_new"] = edited, {"str": f"{edited[:40]} new"}
        row["paraphrase_prompts"] = [f"it is {text} who says"]
        row["relation"] = text[:60]
    facts = tiny_world.write_lines(folder / "facts.jsonl", rows)
    settings = (f"requests.source={facts}", "corpus.window=128", "evaluation.checkpoint_every=1")
    return Finished(folder / "lake", tiny_world.run(world.spec, folder / "lake", *settings))


@pytest.fixture
def copied(reference: Finished, tmp_path: Path) -> Path:
    """A copy of the finished lake, to be changed."""
    return Path(shutil.copytree(reference.lake, tmp_path / "copy"))


@pytest.fixture(autouse=True)
def new_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test finds a model that an earlier one loaded; tables are wide enough to be searched for texts."""
    open_model.cache_clear()
    monkeypatch.setenv("COLUMNS", "250")


@pytest.fixture
def use_of() -> Callable[[dict[str, Any]], dict[str, str]]:
    """`use_of(record)`: {stage's label: created or reused}."""
    return lambda record: {use["stage"]: use["how"] for use in record["uses"]}


@pytest.fixture(scope="module")
def watch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watch]:
    """Good lakes, bundles, models, specs and requests, and a watch that checks commands on changed ones."""
    with watched(tmp_path_factory.mktemp("hostile") / "base") as made:
        yield made
