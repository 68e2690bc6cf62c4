"""Artifacts in the lake are never computed twice, and a changed setting recomputes only what depends on it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import tiny_world
from support.tiny_world import World

from editflow.tasks.models.model_identity import open_model

UsesOf = Callable[[dict[str, Any]], dict[str, str]]


def reused(uses: dict[str, str]) -> set[str]:
    return {stage for stage, how in uses.items() if how == "reused"}


def created(uses: dict[str, str]) -> set[str]:
    return {stage for stage, how in uses.items() if how == "created"}


UP_TO_CONTEXTS = {
    "model",
    "requests",
    "documents",
    "tokens held out",
    "evaluation before",
    "perplexity before",
    *(f"tokens {n}" for n in (1, 2)),
    *(f"second moment {n}" for n in (1, 2)),
    "second moment",
    *(f"spectrum of layer {n}" for n in (0, 1, 2)),
    *(f"null space of layer {n}" for n in (0, 1, 2)),
    "contexts",
}


def test_the_same_run_again_reuses_everything_and_loads_no_model(
    world: World, server: str, tmp_path: Path, use_of: UsesOf
) -> None:
    lake = tmp_path / "lake"
    with tiny_world.counted_loads() as loads:
        first = tiny_world.run(world.spec, lake)
    assert len(loads) == 1  # control: the counter counts, and one process loads a model once
    assert reused(use_of(first)) == set()
    open_model.cache_clear()
    made = tiny_world.digests(lake)
    with tiny_world.counted_loads() as loads:
        again = tiny_world.run(world.spec, lake)
    assert loads == []
    assert created(use_of(again)) == set()
    assert list(use_of(again)) == list(use_of(first))
    assert again["state"] == first["state"]
    assert again["summary"] == first["summary"]
    assert tiny_world.digests(lake) == made


@pytest.mark.exhaustive
def test_another_batch_size_recomputes_only_what_depends_on_it(world: World, copied: Path, use_of: UsesOf) -> None:
    uses = use_of(tiny_world.run(world.spec, copied, "edit.batch_size=3"))
    assert reused(uses) == UP_TO_CONTEXTS
    assert {"target values 1", "weight change 1", "keys 1", "state 1", "evaluation after"} <= created(uses)


@pytest.mark.exhaustive
def test_another_order_of_requests_keeps_corpus_and_moments(world: World, copied: Path, use_of: UsesOf) -> None:
    uses = use_of(tiny_world.run(world.spec, copied, "requests.seed=6"))
    of_requests = {"requests", "evaluation before"}
    assert reused(uses) == UP_TO_CONTEXTS - of_requests
    assert of_requests | {"target values 1", "state 3"} <= created(uses)


def test_another_learning_rate_keeps_requests_and_baseline(world: World, copied: Path, use_of: UsesOf) -> None:
    uses = use_of(tiny_world.run(world.spec, copied, "target_values.learning_rate=0.25"))
    assert reused(uses) == UP_TO_CONTEXTS | {f"{what} {n}" for what in ("requests", "rewrites") for n in (1, 2, 3)}


def test_another_evaluation_prompt_reuses_every_edit(
    world: World, copied: Path, tmp_path: Path, use_of: UsesOf
) -> None:
    rows = [json.loads(line) for line in world.facts.read_text(encoding="utf-8").splitlines()]
    for row in rows:
        row["neighborhood_prompts"].append("the river and the city")
    facts = tiny_world.write_lines(tmp_path / "facts.jsonl", rows)
    uses = use_of(tiny_world.run(world.spec, copied, f"requests.source={facts}"))
    assert {stage.rpartition(" ")[0] or stage for stage in created(uses)} == {
        "requests", "evaluation", "evaluation of batch",
    }  # fmt: skip


@pytest.mark.exhaustive
def test_another_corpus_size_keeps_what_does_not_depend_on_tokens(world: World, copied: Path, use_of: UsesOf) -> None:
    uses = use_of(tiny_world.run(world.spec, copied, "corpus.tokens=1200"))
    moments = {s for s in UP_TO_CONTEXTS if s.startswith(("tokens ", "second moment", "spectrum", "null space"))}
    assert created(uses) >= moments - {"tokens held out"}
    assert reused(uses) >= UP_TO_CONTEXTS - moments | {"tokens held out"}


@pytest.mark.exhaustive
def test_more_facts_reuse_the_batches_before_them(world: World, server: str, tmp_path: Path, use_of: UsesOf) -> None:
    lake = tmp_path / "lake"
    few = tiny_world.run(world.spec, lake, "requests.count=4")
    more = tiny_world.run(world.spec, lake)
    batches = [
        f"{what} {n}"
        for n in (1, 2)
        for what in ("requests", "rewrites", "target values", "weight change", "keys", "state", "evaluation of batch")
    ]
    assert reused(use_of(more)) >= {*batches, "checkpoint 2"}
    assert {"target values 3", "weight change 3", "keys 3", "state 3"} <= created(use_of(more))
    assert [b["state"] for b in more["summary"]["batches"][:2]] == [b["state"] for b in few["summary"]["batches"]]


def test_a_model_moved_to_another_folder_is_recognised(
    world: World, copied: Path, tmp_path: Path, use_of: UsesOf
) -> None:
    moved = tmp_path / "moved"
    moved.mkdir()
    for file in world.model.iterdir():
        (moved / file.name).write_bytes(file.read_bytes())
    uses = use_of(tiny_world.run(world.spec, copied, f"model.source={moved}"))
    assert created(uses) <= {"model"}
