"""Scores of answers from the confusion matrix, with bootstrap intervals.

A table of counts (…, K, K + 1) has a row for each label. Its columns are the K options and, last, "no answer" (the text
was not parsed, or two options are equally likely). "No answer" is always wrong, and never counts as an option.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from editflow.editing.metrics.intervals import RESAMPLES, Interval

Statistic = Callable[[np.ndarray], np.ndarray]


def confusion(options: Sequence[str], answers: Iterable[tuple[str, str | None]]) -> np.ndarray:
    """Count (label, predicted) pairs into a table (K, K + 1); None is no answer."""
    index: dict[str | None, int] = {option: n for n, option in enumerate(options)}
    table = np.zeros((len(options), len(options) + 1))
    for label, predicted in answers:
        table[index[label], len(options) if predicted is None else index[predicted]] += 1
    return table


def accuracy(table: np.ndarray) -> np.ndarray:
    """Σ_k n_kk / n, the share of right answers, from 0 (all wrong) to 1."""
    return np.asarray(_right(table).sum(-1) / table.sum((-2, -1)))


def weighted_f1(table: np.ndarray) -> np.ndarray:
    """Σ_k (t_k / n) · 2 n_kk / (t_k + p_k), for t_k questions with label k and p_k answers k.

    From 0 (all wrong) to 1. The mean of the options' F1, weighted by their share of the labels, as in GLUE panels of
    ROME-style editing (such as AlphaEdit, arXiv 2410.02355). An option that is never the label has weight 0.
    """
    labels, given = table.sum(-1), _given(table)
    f1 = 2 * _right(table) / np.maximum(labels + given, 1)
    return np.asarray((labels * f1).sum(-1) / labels.sum(-1))


def mcc(table: np.ndarray) -> np.ndarray:
    """Matthews' correlation of labels and answers; Gorodkin's R_K (2004) for more than two options.

    (n Σ_k n_kk − Σ_k t_k p_k) / √((n² − Σ t_k²)(n² − Σ p_k²)), with "no answer" among the p_k under the root. From 1
    (all right) through 0 (unrelated, or always the same answer) to −1 (all wrong, for two options; −1/(K − 1) for K
    equally frequent options). NaN if all labels are the same, since nothing can correlate with them.
    """
    n, labels, answers = table.sum((-2, -1)), table.sum(-1), table.sum(-2)
    covariance = n * _right(table).sum(-1) - (labels * _given(table)).sum(-1)
    label_variance, answer_variance = n**2 - (labels**2).sum(-1), n**2 - (answers**2).sum(-1)
    value = covariance / np.sqrt(np.maximum(label_variance * answer_variance, 1))
    return np.where(label_variance == 0, np.nan, value)


def unanswered(table: np.ndarray) -> np.ndarray:
    """The share of questions without an answer, from 0 to 1."""
    return np.asarray(table[..., -1].sum(-1) / table.sum((-2, -1)))


STATISTICS: dict[str, Statistic] = {"accuracy": accuracy, "f1": weighted_f1, "mcc": mcc}


def interval(table: np.ndarray, statistic: Statistic) -> Interval | None:
    """A statistic with its 95 % percentile bootstrap interval, or None if it is undefined. Deterministic.

    Resampling questions with replacement is a multinomial draw of the table's cells. A draw with only one label has no
    MCC and is ignored. A single question has no interval.
    """
    return _bootstrap(table, statistic)


def paired_interval(joint: np.ndarray, statistic: Statistic) -> Interval | None:
    """Change of a statistic on the same questions, with its 95 % percentile bootstrap interval; None if undefined.

    `joint` counts (K, K + 1, K + 1) questions by label, first answer and last answer.
    """
    return _bootstrap(joint, lambda tables: statistic(tables.sum(-2)) - statistic(tables.sum(-1)))


def _bootstrap(table: np.ndarray, statistic: Statistic) -> Interval | None:
    value = float(statistic(table))
    if math.isnan(value):
        return None
    n = int(table.sum())
    if n < 2:
        return Interval(value, None, None)
    draws = np.random.default_rng(0).multinomial(n, (table / n).ravel(), size=RESAMPLES)
    values = statistic(draws.reshape(RESAMPLES, *table.shape).astype(float))
    low, high = np.nanquantile(values, (0.025, 0.975))
    return Interval(value, float(low), float(high))


def _right(table: np.ndarray) -> np.ndarray:
    return np.diagonal(table, axis1=-2, axis2=-1)


def _given(table: np.ndarray) -> np.ndarray:
    """Number of times that each option was the answer, (…, K)."""
    return np.asarray(table[..., :-1].sum(-2))
