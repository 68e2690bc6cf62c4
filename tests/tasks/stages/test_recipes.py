"""The ids of stages are pinned, and a new option with its default does not change them."""

from __future__ import annotations

from dataclasses import dataclass

from editflow.editing.editors.method import Training
from editflow.editing.editors.methods import METHODS
from editflow.editing.editors.options import ContextOptions, TargetValueOptions, omitted
from editflow.editing.linalg.threshold import Threshold
from editflow.tasks.stages.edits import CONTEXTS, STATE, TARGET_VALUES, WEIGHT_CHANGE, TargetValuesSettings
from editflow.tasks.stages.moments import NULL_SPACE, SPECTRUM, SpectrumSettings
from editflow.tasks.stages.settings import NoSettings, recipe
from editflow.tasks.stages.solver_inputs import WeightChangeSettings

A, B, C, D = ("a" * 64, "b" * 64, "c" * 64, "d" * 64)
OPTIONS = TargetValuesSettings(TargetValueOptions(), z_layer=8, chunk=0)


def change_id(name: str) -> str:
    """The id of a method's weight change with its default options."""
    chosen = METHODS[name]
    if isinstance(chosen, Training):
        return WEIGHT_CHANGE.id(WeightChangeSettings(name, chosen.options(), (4, 5)), {"state": A, "requests": B})
    settings = WeightChangeSettings(name, chosen.options(), None, 8, "{} is a")
    return WEIGHT_CHANGE.id(settings, {"state": A, "requests": B, "contexts": C, "target_values": [D]})


IDS = {
    "contexts": CONTEXTS.id(ContextOptions(), {"model": A}),
    "spectrum": SPECTRUM.id(SpectrumSettings(4), {"second_moment": A}),
    "null space": NULL_SPACE.id(Threshold(), {"spectrum": A}),
    "target values": TARGET_VALUES.id(OPTIONS, {"state": A, "requests": B, "contexts": C}),
    "state": STATE.id(NoSettings(), {"state": A, "requests": B, "weight_change": C, "keys": D}),
    **{f"change by {name}": change_id(name) for name in METHODS},
}
PINNED = {
    "contexts": "fbd492841e8c0a38",
    "spectrum": "ffe7133fb6c68492",
    "null space": "925bb44f75a5420c",
    "target values": "eca4a2a86d8c0100",
    "state": "a61551e662c04088",
    "change by alphaedit": "230fd97f8fce62df",
    "change by memit": "28b8ac24d664af23",
    "change by rome": "404d2a4ce9adc98b",
    "change by rect": "ec61005ce2a7ccde",
    "change by prune": "d5fdc4fdf9ff2f72",
    "change by ft": "538632df201a617f",
}


def test_ids_of_stages_do_not_change() -> None:
    assert {name: id_[:16] for name, id_ in IDS.items()} == PINNED, "a new method: add its id to PINNED"


@dataclass(frozen=True)
class Before:
    steps: int = 25


@dataclass(frozen=True)
class After:
    steps: int = 25
    patience: int = omitted(default=0)


def test_an_added_field_is_in_the_recipe_only_if_it_is_not_the_default() -> None:
    assert recipe(After()) == recipe(Before()) == {"steps": 25}
    assert recipe(After(patience=3)) == {"steps": 25, "patience": 3}
    assert recipe(After(steps=9)) == {"steps": 9}
