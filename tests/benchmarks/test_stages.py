"""Both implementations of every benchmark give the same answer. Times are not tested."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.stage import Disagreement
from benchmarks.stages import NAMES
from benchmarks.worker import Worker, load_stage

pytestmark = pytest.mark.exhaustive

ALGEBRA = ("spectrum", "update", "update_wide")
WRONG = {"target_values_bfloat16": 1.3, "target_values_early": 1e3, "whole_run": 1.5}
"""Factors that make an answer certainly wrong, for stages that tolerate 3 %."""


def with_marks(name: str) -> object:
    """A stage with its markers: `make test-demo` runs the two that take longest."""
    if name in ALGEBRA:
        return name
    return pytest.param(
        name,
        marks=[pytest.mark.real_model, *([pytest.mark.demo] if name in {"whole_run", "target_values_early"} else [])],
    )


@pytest.mark.parametrize("name", [with_marks(name) for name in NAMES])
def test_both_implementations_agree_and_a_wrong_answer_is_detected(name: str) -> None:
    stage = load_stage(name)
    ours, literal = stage.ours(stage.sizes["tiny"])(), stage.literal(stage.sizes["tiny"])()
    assert stage.compare(ours, literal)
    assert 0 < ours.real <= 1
    wrong = replace(ours, values={key: WRONG.get(name, 1.03) * value for key, value in ours.values.items()})
    with pytest.raises(Disagreement):
        stage.compare(wrong, literal)


def test_each_implementation_runs_in_its_own_process() -> None:
    stage = load_stage("update")
    with Worker("update", "ours", "tiny", 1) as ours, Worker("update", "literal", "tiny", 1) as literal:
        assert stage.compare(ours.run().answer, literal.run().answer)
        assert min(ours.peak(double=True), literal.peak(double=False)) > 0
