"""Trials of a settings search: scores on probe facts, and the objective that chooses among them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from editflow.editing.metrics.score_columns import SCORED, harmonic
from editflow.storage.artifacts.kinds import kind
from editflow.storage.artifacts.store import Lake
from editflow.tasks.stages.evaluation import read_perplexity, summarise
from editflow.tasks.stages.stage import Stage, Work

FLOOR = 1.0
"""Percent, as which less counts: a search that starts without any edited fact must see progress."""

Figures = Mapping[str, float]


def trial_scores(lake: Lake, evaluation: str) -> dict[str, float]:
    """{metric: success, metric + "_accuracy": accuracy} of an evaluation, in percent; what is not there is left out."""
    found = summarise(lake, evaluation)
    names = {"success": "{}", "accuracy": "{}_accuracy"}
    return {
        form.format(metric): found[metric][column]
        for metric in SCORED
        for column, form in names.items()
        if column in found.get(metric, {})
    }


def objective(after: Figures, perplexity_ratio: float) -> float:
    """One score for a trial, at most 100; less if the model is harmed.

    The harmonic mean of success of efficacy, paraphrase and neighbourhood, which is the field's score (ROME, arXiv
    2202.05262, §3.3), with accuracy of efficacy among them, since success alone is soon 100; each counts FLOOR at
    least, so of two settings that fail in one way the one that fails in fewer is better. Each percent by which
    held-out perplexity lies above the base's takes one point away: a run edits many more facts than a trial.
    Other accuracies are reported but not counted: a share of few percent, of few probes, would outweigh all else here.
    """
    counted = [max(after[name], FLOOR) for name in (*SCORED, "efficacy_accuracy") if name in after]
    return harmonic(counted) - 100 * max(0.0, perplexity_ratio - 1)


def measured(lake: Lake, evaluation: str, perplexity: str, base: str) -> dict[str, float]:
    """What a trial gave: the columns of `trials`, objective included. `base` is the perplexity of the model before."""
    after, found = trial_scores(lake, evaluation), read_perplexity(lake, perplexity)
    ratio = found / read_perplexity(lake, base)
    return {**after, "perplexity": found, "perplexity_ratio": ratio, "objective": objective(after, ratio)}


@dataclass(frozen=True)
class TrialsSettings:
    """The trials in order: number, settings and what failed of each."""

    trials: tuple[Mapping[str, Any], ...]


def _trials(work: Work[TrialsSettings]) -> pa.Table:
    """One row a trial, from the evaluations of those that came to an end."""
    evaluations, perplexities = iter(work.many("evaluation")), iter(work.many("perplexity"))
    states, base = iter(work.many("state")), work.one("base_perplexity")
    rows = []
    for number, trial in enumerate(work.settings.trials, 1):
        row: dict[str, Any] = {"trial": number, **trial}
        if not trial["error"]:
            row |= measured(work.lake, next(evaluations), next(perplexities), base) | {"state": next(states)}
        rows.append(row)
    return pa.Table.from_pylist(rows, schema=kind("trials").schema)


TRIALS = Stage(
    "trials", "trials", 2, TrialsSettings, _trials, ("requests", "base_perplexity", "evaluation", "perplexity", "state")
)
