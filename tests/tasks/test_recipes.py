"""Identities of real stages are pinned, and a field added to an option later leaves them alone."""

from __future__ import annotations

from dataclasses import dataclass, field

from editing.editors.options import ContextOptions, TargetValueOptions
from editing.linalg.null_space import Threshold
from tasks.edits import CHUNK, CONTEXTS, STATE, TARGET_VALUES
from tasks.moments import NULL_SPACE, SPECTRUM
from tasks.stage import recipe

A, B, C, D = ("a" * 64, "b" * 64, "c" * 64, "d" * 64)
OPTIONS = {"options": recipe(TargetValueOptions()), "z_layer": 8, "chunk": 0, "chunk_size": CHUNK}
IDS = {
    "contexts": CONTEXTS.id(recipe(ContextOptions()), {"model": A}),
    "spectrum": SPECTRUM.id({"layer": 4}, {"second_moment": A}),
    "null space": NULL_SPACE.id(recipe(Threshold()), {"spectrum": A}),
    "target values": TARGET_VALUES.id(OPTIONS, {"state": A, "requests": B, "contexts": C}),
    "state": STATE.id({}, {"state": A, "requests": B, "weight_change": C, "keys": D}),
}
PINNED = {
    "contexts": "fbd492841e8c0a38",
    "spectrum": "ffe7133fb6c68492",
    "null space": "925bb44f75a5420c",
    "target values": "eca4a2a86d8c0100",
    "state": "a61551e662c04088",
}


def test_ids_of_stages_are_what_they_always_were() -> None:
    assert {name: id_[:16] for name, id_ in IDS.items()} == PINNED


@dataclass(frozen=True)
class Before:
    steps: int = 25


@dataclass(frozen=True)
class After:
    steps: int = 25
    patience: int = field(default=0, metadata={"added": True})


def test_an_added_field_counts_only_when_it_is_used() -> None:
    assert recipe(After()) == recipe(Before()) == {"steps": 25}
    assert recipe(After(patience=3)) == {"steps": 25, "patience": 3}
    assert recipe(After(steps=9)) == {"steps": 9}
