"""What lies between two artifacts."""

from __future__ import annotations

import pytest

from editflow.storage.artifacts.store import Lake
from editflow.storage.errors import UnknownArtifact
from editflow.storage.queries.lineage_paths import between, on_the_way
from editflow.storage.queries.query import Step


def walk(*edges: str) -> list[Step]:
    """Steps from "a" over edges such as "ab", in their order."""
    return [Step(0, "a", "k", None, None), *(Step(1, edge[1], "k", "r", edge[0]) for edge in edges)]


def test_only_what_leads_there_stays() -> None:
    steps = walk("ab", "ac", "bd", "cd", "ce", "de")
    assert [(step.via, step.id) for step in on_the_way(steps, "d")][1:] == [
        ("a", "b"),
        ("a", "c"),
        ("b", "d"),
        ("c", "d"),
    ]
    assert on_the_way(steps, "a") == steps[:1]
    assert on_the_way(steps, "x") == []


def test_what_a_damaged_lake_says_of_itself_ends() -> None:
    assert {step.id for step in on_the_way(walk("ab", "bc", "cb", "bd"), "d")} == {"a", "b", "c", "d"}


def test_up_or_down_or_nothing(lake: Lake, edited: dict[str, str]) -> None:
    names = {id_: name for name, id_ in edited.items()}
    up, down = (between(lake, *(edited[n][:12] for n in pair)) for pair in (("state2", "state1"), ("state1", "state2")))
    assert {names[step.id] for step in up} == {names[step.id] for step in down} == {"state1", "values1", "state2"}
    assert between(lake, edited["requests"], edited["model"]) == []
    with pytest.raises(UnknownArtifact):
        between(lake, edited["model"], "f" * 64)
