"""Confidence intervals: bootstrap over cases (Efron 1979), and Student's t over runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

RESAMPLES = 2000
ROUNDING = 1e-9
"""Runs whose values differ by less, relative to their mean or 1, differ only by the order of summation."""


class Interval(NamedTuple):
    """A statistic and the bounds of its 95 % interval, which are None for a single case."""

    value: float
    low: float | None
    high: float | None


def mean_interval(cases: Sequence[float]) -> Interval:
    """The mean of at least one case, with its percentile bootstrap interval. Deterministic.

    If all cases are equal, the interval has no width, since resampling cannot show how other cases would differ.
    """
    return ratio_interval(cases, [1.0] * len(cases))


def ratio_interval(above: Sequence[float], below: Sequence[float]) -> Interval:
    """Σ above / Σ below over cases resampled as pairs, such as the NLL and tokens of documents.

    Ignores a case with 0 below, such as a document of a single token.
    """
    from scipy.stats import bootstrap

    counts = np.asarray(below, float) > 0
    pairs = (np.asarray(above, float)[counts], np.asarray(below, float)[counts])

    def ratio(a: np.ndarray, b: np.ndarray, axis: int = -1) -> np.ndarray:
        return np.asarray(a.sum(axis) / b.sum(axis))

    value = float(ratio(*pairs))
    if len(pairs[0]) < 2:
        return Interval(value, None, None)
    if np.ptp(pairs[0] / pairs[1]) == 0:
        return Interval(value, value, value)
    found = bootstrap(
        pairs, ratio, paired=True, vectorized=True, n_resamples=RESAMPLES, method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval  # fmt: skip
    return Interval(value, float(found.low), float(found.high))


def runs_interval(runs: Sequence[float], bounds: tuple[float, float] | None = None) -> Interval:
    """The mean over at least one run, with Student's 95 % t interval, cut to the `bounds` of the score.

    With two or three runs the interval is wide.
    """
    from scipy.stats import sem, t

    value = float(np.mean(runs))
    if len(runs) < 2:
        return Interval(value, None, None)
    equal = float(np.ptp(runs)) <= ROUNDING * max(1.0, abs(value))
    half_width = 0.0 if equal else float(t.ppf(0.975, len(runs) - 1) * sem(runs))
    lowest, highest = bounds or (-np.inf, np.inf)
    return Interval(value, max(value - half_width, lowest), min(value + half_width, highest))


def table_interval(cases: np.ndarray, statistic: Callable[[np.ndarray], float]) -> Interval:
    """A statistic of a table with one row per case, such as the harmonic mean of column means. Resamples rows."""
    from scipy.stats import bootstrap

    value = statistic(cases)
    if len(cases) < 2:
        return Interval(value, None, None)
    if not np.ptp(cases, axis=0).any():
        return Interval(value, value, value)
    found = bootstrap(
        (np.arange(len(cases)),), lambda chosen: statistic(cases[chosen]), vectorized=False, n_resamples=RESAMPLES,
        method="percentile", rng=np.random.default_rng(0),
    ).confidence_interval  # fmt: skip
    return Interval(value, float(found.low), float(found.high))
