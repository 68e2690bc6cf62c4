"""Bootstrap confidence intervals of a mean over cases (Efron 1979); cases are resampled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

RESAMPLES = 2000
ROUNDING = 1e-9
"""Runs that differ by less, beside their mean or 1, differ by the order of summation only."""


class Interval(NamedTuple):
    """A statistic of all cases and the bounds of its 95 % interval; a single case has none."""

    value: float
    low: float | None
    high: float | None


def mean_interval(cases: Sequence[float]) -> Interval:
    """The mean of at least one case with its percentile bootstrap interval, the same for the same cases.

    Cases that are all alike give an interval of no width: resampling them shows nothing of what others would do.
    """
    return ratio_interval(cases, [1.0] * len(cases))


def ratio_interval(above: Sequence[float], below: Sequence[float]) -> Interval:
    """Σ above / Σ below over cases drawn in pairs, such as NLL over tokens of documents.

    A case with nothing below, such as a document of a single token, has no information and is left out.
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
    """The mean over at least one run with Student's 95 % t interval, within the `bounds` of the score.

    With two or three runs the interval is wide.
    """
    from scipy.stats import sem, t

    value = float(np.mean(runs))
    if len(runs) < 2:
        return Interval(value, None, None)
    alike = float(np.ptp(runs)) <= ROUNDING * max(1.0, abs(value))
    reach = 0.0 if alike else float(t.ppf(0.975, len(runs) - 1) * sem(runs))
    least, most = bounds or (-np.inf, np.inf)
    return Interval(value, max(value - reach, least), min(value + reach, most))


def table_interval(cases: np.ndarray, statistic: Callable[[np.ndarray], float]) -> Interval:
    """A statistic of a table with a row a case, such as the harmonic mean of its columns' means; rows are resampled."""
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
