"""The report's tables: before and after, batch by batch, and the outcome of single facts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import exp
from statistics import fmean

import numpy as np

from editflow.editing.metrics.intervals import Interval, mean_interval, ratio_interval, table_interval
from editflow.editing.metrics.perplexity import perplexity
from editflow.editing.metrics.score_columns import HARMONIC, harmonic
from editflow.tasks.report.other_metrics import found, other_metric_rows
from editflow.tasks.report.requested_metrics import asked
from editflow.tasks.report.row_types import PromptRow, RequestRow
from editflow.tasks.report.run_results import RunResults
from editflow.tasks.report.table_rows import BatchNorm, BatchPerplexity, BatchScore, BeforeAfter, Retained, Verdict


def before_after(run: RunResults) -> list[BeforeAfter]:
    """One row per metric: its interval before and after, and that of the change of each case."""
    rows: list[BeforeAfter] = []
    for metric in run.metrics:
        for column in run.columns(metric):
            before, after = (run.cases(n, metric, column) for n in (0, run.last))
            both = [request for request in before if request in after]
            if both:
                first, second = ([100 * cases[request] for request in both] for cases in (before, after))
                change = mean_interval([b - a for a, b in zip(first, second, strict=True)])
                rows.append(_row(f"{metric} {column}", "%", mean_interval(first), mean_interval(second), change))
    scores = [row for name, parts_of in HARMONIC.items() for row in _score_row(run, name, parts_of)]
    return rows + scores + _perplexity_row(run) + other_metric_rows(run)


def unavailable(run: RunResults) -> list[str]:
    """The metrics that the spec asks for and the facts do not have."""
    has = found(run)
    return [metric for metric in asked(run.record.spec) if metric not in has]


def _score_row(run: RunResults, name: str, parts_of: Mapping[str, str]) -> list[BeforeAfter]:
    """The harmonic score, over the cases that have all three of its parts in both states."""
    if not all(column in run.columns(metric) for metric, column in parts_of.items()):
        return []
    parts = [[run.cases(n, metric, column) for metric, column in parts_of.items()] for n in (0, run.last)]
    both = [request for request in parts[0][0] if all(request in part for state in parts for part in state)]
    if not both:
        return []
    tables = [np.array([[100 * part[request] for part in state] for request in both]) for state in parts]
    before, after = (table_interval(table, _score) for table in tables)
    change = table_interval(np.hstack(tables), lambda rows: _score(rows[:, 3:]) - _score(rows[:, :3]))
    return [_row(f"score {name}", "%", before, after, change)]


def _score(rows: np.ndarray) -> float:
    return harmonic([float(mean) for mean in rows.mean(axis=0)])


def _row(name: str, unit: str, before: Interval, after: Interval, change: Interval) -> BeforeAfter:
    return {"metric": name, "unit": unit, "before": before, "after": after, "change": change}


def _perplexity_row(run: RunResults) -> list[BeforeAfter]:
    if not {0, run.last} <= set(run.perplexities):
        return []
    first, last = (run.perplexities[n] for n in (0, run.last))
    nll = {row["document"]: row["nll"] for row in first}
    tokens = [row["tokens"] for row in last]
    found = [ratio_interval([row["nll"] for row in rows], tokens) for rows in (first, last)]
    log_ratio = ratio_interval([row["nll"] - nll[row["document"]] for row in last], tokens)
    before, after = (_through(exp, interval) for interval in found)
    # A ratio of perplexities, as a change in percent: its interval is over the same documents in both states.
    change = _through(lambda bound: 100 * (exp(bound) - 1), log_ratio)
    return [{**_row("held-out perplexity", "", before, after, change), "change_unit": "%"}]


def _through(rising: Callable[[float], float], found: Interval) -> Interval:
    return Interval(rising(found.value), *(None if bound is None else rising(bound) for bound in found[1:]))


def by_batch(run: RunResults) -> list[BatchScore]:
    """One row per state, metric and which facts: the batch's own right after it, or all edited so far."""
    rows: list[BatchScore] = []
    batch = {request: row["batch"] for request, row in run.requests.items()}
    for n in range(run.last + 1):
        for metric in run.metrics:
            cases = {r: v for r, v in run.cases(n, metric, run.plotted_score(metric)).items() if r in batch}
            own = [value for request, value in cases.items() if batch[request] == n]
            rows += [_point(n, metric, "the batch's own facts", own)] if own else []
            so_far = [value for request, value in cases.items() if n == 0 or batch[request] <= n]
            whole = n == 0 or {batch[r] for r in run.asked(n, metric) if r in batch} >= set(range(1, n + 1))
            rows += [_point(n, metric, "all facts so far", so_far)] if whole and so_far else []
    return rows


def _point(n: int, metric: str, facts: str, values: Sequence[float]) -> BatchScore:
    return {"batch": n, "metric": metric, "facts": facts, "percent": 100 * fmean(values), "count": len(values)}


def perplexity_by_batch(run: RunResults) -> list[BatchPerplexity]:
    """One row per state whose perplexity was measured."""
    return [
        {"batch": n, "perplexity": perplexity((row["tokens"], row["nll"]) for row in rows)}
        for n, rows in sorted(run.perplexities.items())
    ]


def norms(run: RunResults) -> list[BatchNorm]:
    """One row per batch and layer: the norm of its change in percent of the weight's."""
    return [
        {"batch": row["n"], "layer": row["layer"], "norm": 100 * row["change_norm"] / row["weight_norm"]}
        for row in run.norms
    ]


def retention(run: RunResults) -> list[Retained]:
    """One row per metric, batch and later state in which all of the batch's facts were evaluated again."""
    rows: list[Retained] = []
    cohorts: dict[int, list[str]] = {}
    for request, row in run.requests.items():
        cohorts.setdefault(row["batch"], []).append(request)
    for metric in run.metrics:
        for n in range(1, run.last + 1):
            cases, asked = run.cases(n, metric, run.plotted_score(metric)), run.asked(n, metric)
            for batch, requests in cohorts.items():
                values = [cases[request] for request in requests if request in cases]
                if batch <= n and asked.issuperset(requests) and values:
                    rows.append({"metric": metric, "batch": batch, "state": n, "percent": 100 * fmean(values)})
    return rows


def worst(run: RunResults, count: int) -> list[Verdict]:
    """The facts that did worst at the end, and what is known of why."""
    rows = [_verdict(run, request, row) for request, row in run.requests.items()]
    rows = [row for row in rows if row["reasons"]]
    return sorted(rows, key=lambda row: (row["said"] is not False, -len(row["hurt"]), -(row["nll_new"] or 0.0)))[:count]


def _verdict(run: RunResults, request: str, row: RequestRow) -> Verdict:
    prompts = run.prompts(request)
    own = prompts.get((run.last, "efficacy"), [])
    # A fact that was not evaluated has no result.
    said, nll = all(map(_holds, own)) if own else None, own[0]["nll_new"] if own else None
    missed = [p for p in prompts.get((run.last, "paraphrase"), []) if not _holds(p)]
    kept = {p["prompt_index"] for p in prompts.get((0, "neighbourhood"), []) if p["success"]}
    near = prompts.get((run.last, "neighbourhood"), [])
    # A neighbour that another request edits is meant to change.
    hurt = [p["prompt"] for p in near if not p["success"] and p["prompt_index"] in kept and not p.get("edited")]
    value = run.values.get(request)
    after_batch = prompts.get((row["batch"], "efficacy"), own)
    reasons = []
    if said is False:
        lost = all(map(_holds, after_batch)) and row["batch"] < run.last
        still = "the old answer is still likelier" if own[0]["nll_true"] is not None else "not said, token for token"
        reasons.append("said after its batch, lost by a later one" if lost else still)
    if value and value["stopped"] == "steps" and value["loss"] > run.stop_at:
        reasons.append(f"its loss was still {value['loss']:.2f} when its steps ended")
    if value and value["delta_norm"] > 0.999 * run.clamp * value["h_norm"]:
        reasons.append(f"its target value lies at the clamp, {run.clamp:g} of the hidden state's norm")
    if missed:
        reasons.append(f"{len(missed)} of {len(prompts[run.last, 'paraphrase'])} paraphrases not followed")
    if hurt:
        reasons.append(f"{len(hurt)} of {len(near)} neighbours hurt")
    # What is at the clamp and fine in every other way is no failure.
    counts = said is False or bool(missed) or bool(hurt)
    return {
        "batch": row["batch"], "relation": row["relation"], "subject": row["subject"],
        "target_new": row["target_new"], "target_true": row["target_true"],
        "prompt": row["prompt"].replace("{}", row["subject"], 1), "said": said, "nll_new": nll, "hurt": hurt,
        "loss": value["loss"] if value else None, "delta": value["delta_norm"] / value["h_norm"] if value else None,
        "reasons": reasons if counts else [],
    }  # fmt: skip


def _holds(prompt: PromptRow) -> bool:
    """Whether the wanted answer is more likely; without an alternative, whether the model gives it."""
    return bool(prompt["accuracy"] if prompt["success"] is None else prompt["success"])
