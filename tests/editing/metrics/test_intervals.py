"""Intervals compared with resampling by hand and with closed forms, and cases without an interval."""

from __future__ import annotations

import random
from math import sqrt
from statistics import fmean, stdev

import numpy as np
import pytest

from editflow.editing.metrics.intervals import mean_interval, ratio_interval, runs_interval, table_interval

DRAWN = random.Random(4)  # noqa: S311
CASES = [DRAWN.gauss(10, 3) for _ in range(80)]


def by_hand(cases: list[float]) -> tuple[float, float]:
    """2.5 % and 97.5 % of the means of 4,000 resamples."""
    means = [fmean(DRAWN.choices(cases, k=len(cases))) for _ in range(4000)]
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def test_an_interval_equals_that_of_resampled_cases() -> None:
    found = mean_interval(CASES)
    assert found.value == pytest.approx(fmean(CASES))
    assert (found.low, found.high) == pytest.approx(by_hand(CASES), abs=0.15)
    # Of normal cases it is nearly the normal interval of a mean.
    reach = 1.96 * stdev(CASES) / sqrt(len(CASES))
    assert (found.low, found.high) == pytest.approx((found.value - reach, found.value + reach), abs=0.15)
    assert mean_interval(CASES) == found  # the same for the same cases
    quarter = mean_interval(CASES[:20])  # control: fewer cases say less
    assert quarter.high - quarter.low > 1.3 * (found.high - found.low)  # type: ignore[operator]


def test_single_cases_have_no_interval() -> None:
    assert mean_interval([3.0]) == (3, None, None)
    assert mean_interval([3.0, 3.0, 3.0]) == (3, 3, 3)
    assert ratio_interval([2.0, 4.0], [1.0, 2.0]) == (2, 2, 2)
    assert table_interval(np.array([[1.0, 2.0]]), np.sum) == (3, None, None)


def test_a_document_of_one_token_is_ignored() -> None:
    """It has no token to predict: 0 of 0."""
    nll, tokens = [30.0, 0.0, 24.0, 50.0], [10.0, 0.0, 12.0, 20.0]
    assert ratio_interval(nll, tokens) == ratio_interval([30.0, 24.0, 50.0], [10.0, 12.0, 20.0])
    assert ratio_interval([30.0, 0.0], [10.0, 0.0]) == (3, None, None)


def test_a_ratio_weights_cases_by_the_denominator() -> None:
    found = ratio_interval([10.0, 90.0], [10.0, 30.0])
    assert found.value == pytest.approx(100 / 40)
    assert found.value != pytest.approx(fmean([1, 3]))
    assert (found.low, found.high) == (1, 3)


def test_paired_intervals_are_more_precise_than_two_intervals() -> None:
    """Every case improves a little, but the cases differ far more from each other."""
    gained = [case + 0.5 + DRAWN.gauss(0, 0.1) for case in CASES]
    one, other = mean_interval(CASES), mean_interval(gained)
    assert one.high > other.low  # type: ignore[operator]
    difference = mean_interval([b - a for a, b in zip(CASES, gained, strict=True)])
    assert difference.low > 0.4  # type: ignore[operator]
    shuffled = mean_interval([b - a for a, b in zip(CASES, gained[::-1], strict=True)])  # control: other pairs
    assert shuffled.low < 0 < shuffled.high  # type: ignore[operator]


def test_runs_have_students_t_interval_within_bounds() -> None:
    assert runs_interval([90.0]) == (90, None, None)
    found = runs_interval([90.0, 96.0])
    assert found == pytest.approx((93, 93 - 12.706 * 3, 93 + 12.706 * 3), abs=0.01)  # t of one degree of freedom
    assert runs_interval([90.0, 96.0], (0, 100)).high == 100
