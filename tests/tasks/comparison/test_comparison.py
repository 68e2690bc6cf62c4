"""Styles of lines, and intervals over seeds with their bounds, without any run."""

from __future__ import annotations

import pytest

from editflow.editing.metrics.intervals import Interval, runs_interval
from editflow.tasks.comparison.metric_tables import RunScore, clear_rounding, mean_over_runs, one_contains_other
from editflow.tasks.comparison.styles import style


def test_every_row_has_its_own_style() -> None:
    """35 rows can be distinguished by dashes and shape alone, and 70 with colour."""
    assert len({style(n) for n in range(70)}) == 70
    assert len({style(n)[1:] for n in range(35)}) == 35
    assert style(0)[1:] == style(35)[1:], "control"


def test_the_order_of_summation_over_seeds_does_not_matter() -> None:
    """0.1 + 0.2 is not exactly 0.3. Larger differences remain differences."""
    third = runs_interval([91.66666666666667, 91.66666666666669, 91.66666666666664])
    assert third.low == third.high == third.value
    assert one_contains_other({"a": 0.1 + 0.2}, {"a": 0.3, "b": 1.0})
    assert not one_contains_other({"a": 0.31}, {"a": 0.3, "b": 1.0})
    assert not one_contains_other({"a": 0.3, "c": 1.0}, {"a": 0.3, "b": 1.0})
    assert clear_rounding(Interval(-5.9e-16, -5.5, 1e-12)) == (0.0, -5.5, 0.0)
    assert clear_rounding(Interval(1e-6, None, None)) == (1e-6, None, None)


@pytest.mark.parametrize(
    ("name", "runs", "low", "high"),
    [
        ("efficacy success", (0.0, 10.0), 0.0, None),
        ("score harmonic", (90.0, 100.0), None, 100.0),
        ("efficacy magnitude", (0.0, 10.0), -58.531, None),
        ("drift of layer 8, relative mean shift", (150.0, 170.0), 32.938, 287.062),
    ],
)
def test_intervals_stay_in_the_range_of_their_score(
    name: str, runs: tuple[float, float], low: float | None, high: float | None
) -> None:
    found = mean_over_runs(name, [RunScore("%", 0.0, value) for value in runs]).after
    assert found.low is not None and found.high is not None
    assert found.low <= found.value <= found.high
    for bound, wanted in ((found.low, low), (found.high, high)):
        assert wanted is None or bound == pytest.approx(wanted, abs=1e-3)


def test_interval_over_runs_uses_student_t() -> None:
    one, two, same = runs_interval([3.0]), runs_interval([1.0, 3.0]), runs_interval([2.0, 2.0])
    assert one == (3.0, None, None)
    assert same == (2.0, 2.0, 2.0)
    assert (two.value, two.low) == (2.0, pytest.approx(2 - 12.7062, abs=1e-3))  # t with one degree of freedom
    assert runs_interval([97.0, 99.0], (0, 100)).high == 100
    assert runs_interval([97.0, 99.0]).high > 100, "control"
