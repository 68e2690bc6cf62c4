"""The trials of a scan: what settings gave on probe facts, and the objective that chooses among them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from editing.metrics.columns import SCORED, harmonic
from storage.kinds import kind
from storage.store import Lake
from tasks.evaluation import read_perplexity, summarise
from tasks.stage import Stage, Work

PERPLEXITY_LIMIT = 1.1
"""The ratio of held-out perplexity to the base's that costs nothing: a run goes on for many more facts than a trial."""
FLOOR = 1.0
"""Percent, as which less counts: a scan that starts where nothing is edited must see what comes nearer."""

Figures = Mapping[str, float]


def figures(lake: Lake, evaluation: str) -> dict[str, float]:
    """{metric: success, metric + "_accuracy": accuracy} of an evaluation, in percent; what is not there is left out."""
    found = summarise(lake, evaluation)
    names = {"success": "{}", "accuracy": "{}_accuracy"}
    return {
        form.format(metric): found[metric][column]
        for metric in SCORED
        for column, form in names.items()
        if column in found.get(metric, {})
    }


def objective(after: Figures, before: Figures, perplexity_ratio: float) -> float:
    """One figure for a trial, at most 100; less where the model is harmed.

    The harmonic mean of success of efficacy, paraphrase and neighbourhood, of accuracy of efficacy and paraphrase, and
    of what the neighbourhood's accuracy has kept of the base's (at most all); each counts FLOOR at least, so of two
    settings that fail in one way the one that fails in fewer is better. Each percent by which held-out perplexity lies
    above PERPLEXITY_LIMIT times the base's takes one point away.
    """
    parts = [value for name, value in after.items() if name != "neighbourhood_accuracy"]
    known = before.get("neighbourhood_accuracy", 0.0)
    if known > 0:
        parts.append(100 * min(1.0, after["neighbourhood_accuracy"] / known))
    return harmonic([max(part, FLOOR) for part in parts]) - 100 * max(0.0, perplexity_ratio - PERPLEXITY_LIMIT)


def measured(lake: Lake, evaluation: str, perplexity: str, base: tuple[str, str]) -> dict[str, float]:
    """What a trial gave, beside the base's (evaluation, perplexity): the columns of `trials`, objective included."""
    after, before = figures(lake, evaluation), figures(lake, base[0])
    found = read_perplexity(lake, perplexity)
    ratio = found / read_perplexity(lake, base[1])
    value = objective(after, before, ratio)
    return {**after, "perplexity": found, "perplexity_ratio": ratio, "objective": value}


def _trials(work: Work) -> pa.Table:
    """One row a trial, from the evaluations of those that came to an end."""
    evaluations, perplexities = iter(work.many("evaluation")), iter(work.many("perplexity"))
    states, base = iter(work.many("state")), (work.one("base_evaluation"), work.one("base_perplexity"))
    rows = []
    for number, trial in enumerate(work.spec["trials"], 1):
        row: dict[str, Any] = {"trial": number, **trial}
        if not trial["error"]:
            row |= measured(work.lake, next(evaluations), next(perplexities), base) | {"state": next(states)}
        rows.append(row)
    return pa.Table.from_pylist(rows, schema=kind("trials").schema)


TRIALS = Stage("trials", "trials", 1, _trials)
