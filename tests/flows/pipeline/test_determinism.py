"""The same spec in two fresh lakes gives the same artifacts with the same content."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import tiny_world
from support.tiny_world import World

from editflow.storage.artifacts.store import Lake


def test_two_fresh_lakes_hold_the_same_content(world: World, reference, tmp_path: Path) -> None:
    second = tmp_path / "lake"
    tiny_world.run(world.spec, second)
    expected = tiny_world.digests(reference.lake)
    assert len(expected) > 30
    assert tiny_world.digests(second) == expected
    assert not list(second.glob("conflicts/*"))


@pytest.mark.exhaustive
def test_a_copy_of_the_world_elsewhere_gives_the_same_content(world: World, reference, tmp_path: Path) -> None:
    """Paths of the model, corpus, requests and spec are not part of any id."""
    elsewhere = tiny_world.make(tmp_path / "elsewhere")
    lake = tmp_path / "lake"
    tiny_world.run(elsewhere.spec, lake)
    assert tiny_world.digests(lake) == tiny_world.digests(reference.lake)


def test_without_prefect_the_stages_give_the_same_content(world: World, reference, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    summary = tiny_world.run_directly(world.spec, lake)
    assert tiny_world.digests(lake) == tiny_world.digests(reference.lake)
    assert summary == reference.record["summary"]


def test_another_seed_gives_different_content(world: World, reference, tmp_path: Path) -> None:
    """The control: the equal content above is neither empty nor constant."""
    lake = tmp_path / "lake"
    tiny_world.run_directly(world.spec, lake, "corpus.seed=1", "contexts.seed=1")
    same = tiny_world.digests(reference.lake).items() & tiny_world.digests(lake).items()
    kinds = {Lake.open(lake).manifest(id_).kind for id_, _ in same}
    assert kinds <= {"model", "requests", "evaluation"}
