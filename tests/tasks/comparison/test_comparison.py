"""What a comparison is drawn and reckoned with, without any run: styles, intervals over seeds, and their bounds."""

from __future__ import annotations

import pytest

from editflow.editing.metrics.intervals import Interval, runs_interval
from editflow.tasks.comparison.metric_tables import one_in_the_other, over_runs, without_dust
from editflow.tasks.comparison.styles import style


def test_every_row_has_a_style_of_its_own() -> None:
    """Rows can be told apart by dashes and shape alone, as far as any table has them."""
    assert len({style(n) for n in range(70)}) == 70
    assert len({style(n)[1:] for n in range(35)}) == 35
    assert style(0)[1:] == style(35)[1:], "the control"


def test_the_order_in_which_seeds_are_added_up_is_no_difference() -> None:
    """0.1 + 0.2 is not 0.3 to the last bit; what differs by more stands in rows and intervals of its own."""
    third = runs_interval([91.66666666666667, 91.66666666666669, 91.66666666666664])
    assert third.low == third.high == third.value
    assert one_in_the_other({"a": 0.1 + 0.2}, {"a": 0.3, "b": 1.0})
    assert not one_in_the_other({"a": 0.31}, {"a": 0.3, "b": 1.0})
    assert not one_in_the_other({"a": 0.3, "c": 1.0}, {"a": 0.3, "b": 1.0})
    assert without_dust(Interval(-5.9e-16, -5.5, 1e-12)) == (0.0, -5.5, 0.0)
    assert without_dust(Interval(1e-6, None, None)) == (1e-6, None, None)


@pytest.mark.parametrize(
    ("name", "runs", "low", "high"),
    [
        ("efficacy success", (0.0, 10.0), 0.0, None),
        ("score harmonic", (90.0, 100.0), None, 100.0),
        ("efficacy magnitude", (0.0, 10.0), -58.531, None),
        ("drift of layer 8, relative mean shift", (150.0, 170.0), 32.938, 287.062),
    ],
)
def test_no_interval_leaves_what_its_figure_can_be(
    name: str, runs: tuple[float, float], low: float | None, high: float | None
) -> None:
    found = over_runs(name, [("%", 0.0, value) for value in runs]).after
    assert found.low is not None and found.high is not None
    assert found.low <= found.value <= found.high
    for bound, wanted in ((found.low, low), (found.high, high)):
        assert wanted is None or bound == pytest.approx(wanted, abs=1e-3)


def test_an_interval_over_runs() -> None:
    one, two, same = runs_interval([3.0]), runs_interval([1.0, 3.0]), runs_interval([2.0, 2.0])
    assert one == (3.0, None, None)
    assert same == (2.0, 2.0, 2.0)
    assert (two.value, two.low) == (2.0, pytest.approx(2 - 12.7062, abs=1e-3))  # t with one degree of freedom
    assert runs_interval([97.0, 99.0], (0, 100)).high == 100
    assert runs_interval([97.0, 99.0]).high > 100, "the control"
