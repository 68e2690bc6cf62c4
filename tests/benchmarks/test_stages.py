"""Both sides of every benchmark give the same answer; what they take is measured elsewhere and asserted nowhere."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.stage import Disagreement
from benchmarks.stages import NAMES
from benchmarks.worker import Worker, stage_named

pytestmark = pytest.mark.exhaustive

ALGEBRA = ("spectrum", "update", "update_wide")
WRONG = {"target_values_bfloat16": 1.3, "target_values_early": 1e3, "whole_run": 1.5}
"""By what an answer is off that is certainly wrong, where 3 % are allowed."""


def marked(name: str) -> object:
    """A stage with what it needs: the whole run starts three servers, which takes minutes even for four facts."""
    if name in ALGEBRA:
        return name
    return pytest.param(name, marks=[pytest.mark.real_model, *([pytest.mark.demo] if name == "whole_run" else [])])


@pytest.mark.parametrize("name", [marked(name) for name in NAMES])
def test_both_sides_agree_and_a_wrong_answer_is_noticed(name: str) -> None:
    stage = stage_named(name)
    ours, literal = stage.ours(stage.sizes["tiny"])(), stage.literal(stage.sizes["tiny"])()
    assert stage.compare(ours, literal)
    assert 0 < ours.real <= 1
    wrong = replace(ours, values={key: WRONG.get(name, 1.03) * value for key, value in ours.values.items()})
    with pytest.raises(Disagreement):
        stage.compare(wrong, literal)


def test_a_side_runs_in_a_process_of_its_own() -> None:
    stage = stage_named("update")
    with Worker("update", "ours", "tiny", 1) as ours, Worker("update", "literal", "tiny", 1) as literal:
        assert stage.compare(ours.run().answer, literal.run().answer)
        assert min(ours.peak(double=True), literal.peak(double=False)) > 0
