"""Scores of answers from the confusion matrix, with bootstrap intervals.

A table has a row for each option and a column for each option and, last, one for "no answer" (nothing that could be
parsed, or two options equally likely): counts (…, K, K + 1). "No answer" is never right and never an option of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from editflow.editing.metrics.intervals import RESAMPLES, Interval

Statistic = Callable[[np.ndarray], np.ndarray]


def confusion(options: Sequence[str], answers: Iterable[tuple[str, str | None]]) -> np.ndarray:
    """Counts (K, K + 1) of (label, predicted) pairs, whatever their order; None is no answer."""
    place: dict[str | None, int] = {option: n for n, option in enumerate(options)}
    table = np.zeros((len(options), len(options) + 1))
    for label, predicted in answers:
        table[place[label], len(options) if predicted is None else place[predicted]] += 1
    return table


def accuracy(table: np.ndarray) -> np.ndarray:
    """Σ_k n_kk / n: the share of right answers, from 0 (all wrong) to 1."""
    return np.asarray(_right(table).sum(-1) / table.sum((-2, -1)))


def weighted_f1(table: np.ndarray) -> np.ndarray:
    """Σ_k (t_k / n) · 2 n_kk / (t_k + p_k), for t_k questions whose label is k and p_k answers that are k.

    From 0 (all wrong) to 1. The mean of each option's F1 weighted by its share of the labels, as the GLUE panels of
    ROME-style editing report it (such as AlphaEdit, arXiv 2410.02355); an option that is no label weighs nothing.
    """
    labels, given = table.sum(-1), _given(table)
    f1 = 2 * _right(table) / np.maximum(labels + given, 1)
    return np.asarray((labels * f1).sum(-1) / labels.sum(-1))


def mcc(table: np.ndarray) -> np.ndarray:
    """Matthews' correlation of labels and answers; Gorodkin's R_K (2004) for more than two options.

    (n Σ_k n_kk − Σ_k t_k p_k) / √((n² − Σ t_k²)(n² − Σ p_k²)), "no answer" counted among the p_k of the root. From 1
    (all right) through 0 (unrelated, or always the same answer) to −1 (all wrong, of two options; of K alike options
    −1/(K − 1)). NaN where all labels are alike: nothing can correlate with them.
    """
    n, labels, given = table.sum((-2, -1)), table.sum(-1), table.sum(-2)
    shared = n * _right(table).sum(-1) - (labels * _given(table)).sum(-1)
    spread, spoken = n**2 - (labels**2).sum(-1), n**2 - (given**2).sum(-1)
    value = shared / np.sqrt(np.maximum(spread * spoken, 1))
    return np.where(spread == 0, np.nan, value)


def unanswered(table: np.ndarray) -> np.ndarray:
    """The share of questions without an answer, from 0 to 1."""
    return np.asarray(table[..., -1].sum(-1) / table.sum((-2, -1)))


STATISTICS: dict[str, Statistic] = {"accuracy": accuracy, "f1": weighted_f1, "mcc": mcc}


def interval(table: np.ndarray, statistic: Statistic) -> Interval | None:
    """A statistic with its 95 % percentile bootstrap interval, the same for the same table; None where it is undefined.

    Questions drawn with replacement fall into the table's cells as a multinomial draw, so cells are drawn. A draw
    whose labels are all alike has no MCC and is left out. One question has no interval.
    """
    value = float(statistic(table))
    if math.isnan(value):
        return None
    n = int(table.sum())
    if n < 2:
        return Interval(value, None, None)
    drawn = np.random.default_rng(0).multinomial(n, (table / n).ravel(), size=RESAMPLES)
    values = statistic(drawn.reshape(RESAMPLES, *table.shape).astype(float))
    low, high = np.nanquantile(values, (0.025, 0.975))
    return Interval(value, float(low), float(high))


def paired_interval(joint: np.ndarray, statistic: Statistic) -> Interval | None:
    """How a statistic changes on the same questions, with its 95 % percentile bootstrap interval; None where undefined.

    `joint` counts (K, K + 1, K + 1) questions by label, first answer and last answer.
    """
    value = float(statistic(joint.sum(1)) - statistic(joint.sum(2)))
    if math.isnan(value):
        return None
    n = int(joint.sum())
    if n < 2:
        return Interval(value, None, None)
    drawn = np.random.default_rng(0).multinomial(n, (joint / n).ravel(), size=RESAMPLES)
    tables = drawn.reshape(RESAMPLES, *joint.shape).astype(float)
    low, high = np.nanquantile(statistic(tables.sum(2)) - statistic(tables.sum(3)), (0.025, 0.975))
    return Interval(value, float(low), float(high))


def _right(table: np.ndarray) -> np.ndarray:
    return np.diagonal(table, axis1=-2, axis2=-1)


def _given(table: np.ndarray) -> np.ndarray:
    """(…, K): how often each option was the answer."""
    return np.asarray(table[..., :-1].sum(-2))
