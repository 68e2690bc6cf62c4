"""Paths between two artifacts."""

from __future__ import annotations

import pytest

from editflow.storage.artifacts.store import Lake
from editflow.storage.errors import UnknownArtifact
from editflow.storage.queries.lineage_paths import paths_between, steps_to
from editflow.storage.queries.query import Step


def walk(*edges: str) -> list[Step]:
    """Steps from "a" over edges such as "ab", in their order."""
    return [Step(0, "a", "k", None, None), *(Step(1, edge[1], "k", "r", edge[0]) for edge in edges)]


def test_only_steps_that_lead_to_the_end_are_kept() -> None:
    steps = walk("ab", "ac", "bd", "cd", "ce", "de")
    assert [(step.via, step.id) for step in steps_to(steps, "d")][1:] == [
        ("a", "b"),
        ("a", "c"),
        ("b", "d"),
        ("c", "d"),
    ]
    assert steps_to(steps, "a") == steps[:1]
    assert steps_to(steps, "x") == []


def test_cycles_of_a_damaged_lake_terminate() -> None:
    assert {step.id for step in steps_to(walk("ab", "bc", "cb", "bd"), "d")} == {"a", "b", "c", "d"}


def test_paths_upstream_downstream_and_none(lake: Lake, edited: dict[str, str]) -> None:
    names = {id_: name for name, id_ in edited.items()}
    up, down = (
        paths_between(lake, *(edited[n][:12] for n in pair)) for pair in (("state2", "state1"), ("state1", "state2"))
    )
    assert {names[step.id] for step in up} == {names[step.id] for step in down} == {"state1", "values1", "state2"}
    assert paths_between(lake, edited["requests"], edited["model"]) == []
    with pytest.raises(UnknownArtifact):
        paths_between(lake, edited["model"], "f" * 64)
