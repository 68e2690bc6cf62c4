"""The report's tables: scores before and after, scores per batch, and results of single facts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import exp
from statistics import fmean

import numpy as np

from editflow.editing.metrics.intervals import Interval, ratio_interval, table_interval
from editflow.editing.metrics.perplexity import perplexity
from editflow.editing.metrics.score_columns import HARMONIC, harmonic
from editflow.tasks.report.other_metrics import available_metrics, cases_row, other_metric_rows
from editflow.tasks.report.requested_metrics import requested_metrics
from editflow.tasks.report.row_types import PromptRow, RequestRow
from editflow.tasks.report.run_results import RunResults
from editflow.tasks.report.table_rows import BatchNorm, BatchPerplexity, BatchScore, BeforeAfter, Retained, Verdict


def before_after(run: RunResults) -> list[BeforeAfter]:
    """One row per score. The interval of the change is over the changes of the cases."""
    harmonic_rows = [row for name, parts in HARMONIC.items() for row in _harmonic_row(run, name, parts)]
    return [*_score_rows(run), *harmonic_rows, *_perplexity_row(run), *other_metric_rows(run)]


def unavailable(run: RunResults) -> list[str]:
    """The metrics that the spec requests and the facts do not support."""
    available = available_metrics(run)
    return [metric for metric in requested_metrics(run.record.spec) if metric not in available]


def _score_rows(run: RunResults) -> Iterator[BeforeAfter]:
    for metric in run.metrics:
        for column in run.columns(metric):
            before, after = (
                {request: 100 * value for request, value in run.cases(n, metric, column).items()} for n in (0, run.last)
            )
            yield from cases_row(f"{metric} {column}", "%", before, after)


def _harmonic_row(run: RunResults, name: str, parts: Mapping[str, str]) -> list[BeforeAfter]:
    """The harmonic mean of three scores {metric: column}, over the cases that have all of them before and after."""
    if not all(column in run.columns(metric) for metric, column in parts.items()):
        return []
    states = [[run.cases(n, metric, column) for metric, column in parts.items()] for n in (0, run.last)]
    both = [request for request in states[0][0] if all(request in part for state in states for part in state)]
    if not both:
        return []
    tables = [np.array([[100 * part[request] for part in state] for request in both]) for state in states]
    before, after = (table_interval(table, _harmonic_of_means) for table in tables)
    change = table_interval(
        np.hstack(tables), lambda rows: _harmonic_of_means(rows[:, 3:]) - _harmonic_of_means(rows[:, :3])
    )
    return [{"metric": f"score {name}", "unit": "%", "before": before, "after": after, "change": change}]


def _harmonic_of_means(rows: np.ndarray) -> float:
    return harmonic([float(mean) for mean in rows.mean(axis=0)])


def _perplexity_row(run: RunResults) -> list[BeforeAfter]:
    if not {0, run.last} <= set(run.perplexities):
        return []
    first, last = (run.perplexities[n] for n in (0, run.last))
    nll = {row["document"]: row["nll"] for row in first}
    tokens = [row["tokens"] for row in last]
    found = [ratio_interval([row["nll"] for row in rows], tokens) for rows in (first, last)]
    log_ratio = ratio_interval([row["nll"] - nll[row["document"]] for row in last], tokens)
    before, after = (_transformed(interval, exp) for interval in found)
    # The change is the ratio of the perplexities in percent; its interval is over the same documents in both states.
    change = _transformed(log_ratio, lambda bound: 100 * (exp(bound) - 1))
    return [
        {"metric": "held-out perplexity", "unit": "", "before": before, "after": after, "change": change,
         "change_unit": "%"}
    ]  # fmt: skip


def _transformed(interval: Interval, increasing: Callable[[float], float]) -> Interval:
    low, high = (None if bound is None else increasing(bound) for bound in interval[1:])
    return Interval(increasing(interval.value), low, high)


def by_batch(run: RunResults) -> list[BatchScore]:
    """One row per state, metric and set of facts: the facts of the batch, or all facts edited so far."""
    rows: list[BatchScore] = []
    batch = {request: row["batch"] for request, row in run.requests.items()}
    for n in range(run.last + 1):
        for metric in run.metrics:
            cases = {r: v for r, v in run.cases(n, metric, run.plotted_score(metric)).items() if r in batch}
            own = [value for request, value in cases.items() if batch[request] == n]
            rows += [_point(n, metric, "the batch's own facts", own)] if own else []
            so_far = [value for request, value in cases.items() if n == 0 or batch[request] <= n]
            complete = n == 0 or {batch[r] for r in run.evaluated(n, metric) if r in batch} >= set(range(1, n + 1))
            rows += [_point(n, metric, "all facts so far", so_far)] if complete and so_far else []
    return rows


def _point(n: int, metric: str, facts: str, values: Sequence[float]) -> BatchScore:
    return {"batch": n, "metric": metric, "facts": facts, "percent": 100 * fmean(values), "count": len(values)}


def perplexity_by_batch(run: RunResults) -> list[BatchPerplexity]:
    """One row per state with a measured perplexity."""
    return [
        {"batch": n, "perplexity": perplexity((row["tokens"], row["nll"]) for row in rows)}
        for n, rows in sorted(run.perplexities.items())
    ]


def norms(run: RunResults) -> list[BatchNorm]:
    """One row per batch and layer."""
    return [
        {"batch": row["n"], "layer": row["layer"], "norm": 100 * row["change_norm"] / row["weight_norm"]}
        for row in run.norms
    ]


def retention(run: RunResults) -> list[Retained]:
    """One row per metric, batch and state from that batch on in which all facts of the batch were evaluated."""
    rows: list[Retained] = []
    cohorts: dict[int, list[str]] = {}
    for request, row in run.requests.items():
        cohorts.setdefault(row["batch"], []).append(request)
    for metric in run.metrics:
        for n in range(1, run.last + 1):
            cases, evaluated = run.cases(n, metric, run.plotted_score(metric)), run.evaluated(n, metric)
            for batch, requests in cohorts.items():
                values = [cases[request] for request in requests if request in cases]
                if batch <= n and evaluated.issuperset(requests) and values:
                    rows.append({"metric": metric, "batch": batch, "state": n, "percent": 100 * fmean(values)})
    return rows


def worst(run: RunResults, count: int) -> list[Verdict]:
    """At most `count` facts with failures after the last batch, the worst first.

    Facts whose new answer the model does not give come first, then those with the most changed neighbours, then those
    with the largest NLL of the new answer.
    """
    rows = [row for request, fact in run.requests.items() if (row := _verdict(run, request, fact))["reasons"]]
    return sorted(rows, key=lambda row: (row["said"] is not False, -len(row["hurt"]), -(row["nll_new"] or 0.0)))[:count]


def _verdict(run: RunResults, request: str, fact: RequestRow) -> Verdict:
    prompts = run.prompts(request)
    own = prompts.get((run.last, "efficacy"), [])
    said, nll = all(map(_succeeds, own)) if own else None, own[0]["nll_new"] if own else None
    missed = [p for p in prompts.get((run.last, "paraphrase"), []) if not _succeeds(p)]
    kept = {p["prompt_index"] for p in prompts.get((0, "neighbourhood"), []) if p["success"]}
    near = prompts.get((run.last, "neighbourhood"), [])
    # A neighbour that another request edits is supposed to change.
    hurt = [p["prompt"] for p in near if not p["success"] and p["prompt_index"] in kept and not p.get("edited")]
    value = run.target_values.get(request)
    after_batch = prompts.get((fact["batch"], "efficacy"), own)
    reasons = []
    if said is False:
        lost = all(map(_succeeds, after_batch)) and fact["batch"] < run.last
        has_alternative = own[0]["nll_true"] is not None
        never = "the old answer is still more likely" if has_alternative else "the model does not give the new answer"
        reasons.append("learned in its batch, lost in a later one" if lost else never)
    if value and value["stopped"] == "steps" and value["loss"] > run.stop_at:
        reasons.append(f"the loss of its target value was still {value['loss']:.2f} after the last step")
    if value and value["delta_norm"] > 0.999 * run.clamp * value["h_norm"]:
        reasons.append(f"its target value is at the clamp, {run.clamp:g} times the norm of the hidden state")
    if missed:
        reasons.append(f"{len(missed)} of {len(prompts[run.last, 'paraphrase'])} paraphrases fail")
    if hurt:
        reasons.append(f"{len(hurt)} of {len(near)} neighbours changed")
    # A loss or a target value at its limit alone is no failure.
    failed = said is False or bool(missed) or bool(hurt)
    return {
        "batch": fact["batch"], "relation": fact["relation"], "subject": fact["subject"],
        "target_new": fact["target_new"], "target_true": fact["target_true"],
        "prompt": fact["prompt"].replace("{}", fact["subject"], 1), "said": said, "nll_new": nll, "hurt": hurt,
        "loss": value["loss"] if value else None, "delta": value["delta_norm"] / value["h_norm"] if value else None,
        "reasons": reasons if failed else [],
    }  # fmt: skip


def _succeeds(prompt: PromptRow) -> bool:
    """Whether the expected answer is more likely than the other; without another, whether the model gives it."""
    return bool(prompt["accuracy"] if prompt["success"] is None else prompt["success"])
