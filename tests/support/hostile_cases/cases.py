"""Creates case k: its kind, its change and its command depend only on k."""

from __future__ import annotations

from random import Random
from types import ModuleType

from support.hostile_cases import addresses, bundles, facts, lakes, models, specs, statements
from support.hostile_cases.case import Case, Setting
from support.hostile_cases.good import Good

KINDS: dict[str, tuple[ModuleType, int]] = {
    "lake": (lakes, 37), "statement": (statements, 15), "spec": (specs, 16), "facts": (facts, 16),
    "bundle": (bundles, 6), "model": (models, 5), "address": (addresses, 5),
}  # fmt: skip
"""The module and the percentage of cases of each kind."""


def case(number: int, good: Good, port: int) -> Case:
    """Create a case in its own folder, which must not exist."""
    draw = Random(f"case {number}")  # noqa: S311 - seeding with a text is deterministic
    (kind,) = draw.choices(list(KINDS), [weight for _, weight in KINDS.values()])
    folder = good.base / "cases" / str(number)
    folder.mkdir()
    story, ask = KINDS[kind][0].make(Setting(number, draw, good, folder, port))
    return Case(number, kind, story, ask, folder)
