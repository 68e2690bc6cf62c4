"""Trials of a settings search: scores on probe facts, and the objective that ranks the trials."""

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

MIN_PERCENT = 1.0
"""Smaller scores count as this much: a search that starts without a single edited fact must see progress."""


def trial_scores(lake: Lake, evaluation: str) -> dict[str, float]:
    """{metric: success, metric + "_accuracy": accuracy} of an evaluation, in percent; missing scores are omitted."""
    found = summarise(lake, evaluation)
    return {
        metric + suffix: found[metric][column]
        for metric in SCORED
        for column, suffix in (("success", ""), ("accuracy", "_accuracy"))
        if column in found.get(metric, {})
    }


def objective(after: Mapping[str, float], perplexity_ratio: float) -> float:
    """The score of a trial: at most 100, and lower if the model is harmed.

    The harmonic mean of the success of efficacy, paraphrase and neighbourhood (the score of ROME, arXiv 2202.05262,
    §3.3) and of the accuracy of efficacy, since success alone soon reaches 100. Each counts as at least MIN_PERCENT, so
    that settings which fail on one metric can still be ranked by the others. One point is subtracted per percent of
    held-out perplexity above the base model's: a run edits many more facts than a trial. Other accuracies are reported
    but do not count: a few percent of a few probes would dominate a harmonic mean.
    """
    counted = [max(after[name], MIN_PERCENT) for name in (*SCORED, "efficacy_accuracy") if name in after]
    return harmonic(counted) - 100 * max(0.0, perplexity_ratio - 1)


def trial_result(lake: Lake, evaluation: str, perplexity: str, base: str) -> dict[str, float]:
    """The columns of `trials` for one trial. `base` is the perplexity artifact of the base model."""
    after, found = trial_scores(lake, evaluation), read_perplexity(lake, perplexity)
    ratio = found / read_perplexity(lake, base)
    return {**after, "perplexity": found, "perplexity_ratio": ratio, "objective": objective(after, ratio)}


@dataclass(frozen=True)
class TrialsSettings:
    """The trials in order: the settings of each, and its error if it failed."""

    trials: tuple[Mapping[str, Any], ...]


def _trials(work: Work[TrialsSettings]) -> pa.Table:
    """One row per trial; scores are those of the trials without an error."""
    evaluations, perplexities = iter(work.many("evaluation")), iter(work.many("perplexity"))
    states, base = iter(work.many("state")), work.one("base_perplexity")
    rows = []
    for number, trial in enumerate(work.settings.trials, 1):
        result: dict[str, float | str] = {}
        if not trial["error"]:
            result = {**trial_result(work.lake, next(evaluations), next(perplexities), base), "state": next(states)}
        rows.append({"trial": number, **trial, **result})
    return pa.Table.from_pylist(rows, schema=kind("trials").schema)


TRIALS = Stage(
    "trials", "trials", 2, TrialsSettings, _trials, ("requests", "base_perplexity", "evaluation", "perplexity", "state")
)
