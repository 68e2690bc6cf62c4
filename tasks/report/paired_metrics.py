"""Paired comparison of two runs on their common cases."""

from __future__ import annotations

from collections.abc import Sequence

from editflow.editing.metrics.intervals import mean_interval
from editflow.tasks.errors import NothingToCompare
from editflow.tasks.report.other_metrics import final_cases
from editflow.tasks.report.row_types import RequestRow
from editflow.tasks.report.run_results import RunResults
from editflow.tasks.report.table_rows import Paired

Pairs = dict[str, tuple[float, float]]
FACT_COLUMNS = ("prompt", "subject", "target_new", "target_true")
"""Two requests with the same id are the same fact if these are equal."""


def paired(one: RunResults, other: RunResults) -> list[Paired]:
    """One row per score of prompts, texts and ability, over the cases that both runs have after their last batch.

    `difference` is the mean of other − one over cases, with a 95 % bootstrap interval over pairs. It is narrower than
    the intervals of the runs suggest. Raises NothingToCompare if the runs have no request in common.
    """
    return [paired_row(name, list(both.values())) for name, both in pairs(one, other).items()]


def pairs(one: RunResults, other: RunResults) -> dict[str, Pairs]:
    """{score with its unit: {case: (one, other)}}, as compared by `paired`."""
    shared = [r for r, row in one.requests.items() if r in other.requests and _is_same_fact(row, other.requests[r])]
    if not shared:
        raise NothingToCompare(one.record.run_id, other.record.run_id)
    found: dict[str, Pairs] = {}
    for metric in one.metrics:
        columns = one.columns(metric) if metric in other.metrics else []
        for column in (name for name in columns if name in other.columns(metric)):
            first, second = (run.cases(run.last, metric, column) for run in (one, other))
            found[f"{metric} {column} %"] = {
                r: (100 * first[r], 100 * second[r]) for r in shared if r in first and r in second
            }
    other_cases = final_cases(other)
    for name, ours in final_cases(one).items():
        theirs = other_cases.get(name, {})
        found[name] = {case: (value, theirs[case]) for case, value in ours.items() if case in theirs}
    return {name: both for name, both in found.items() if both}


def paired_row(metric: str, both: Sequence[tuple[float, float]]) -> Paired:
    """The row of a score, from its pairs (one, other)."""
    differences = [b - a for a, b in both]
    return {
        "metric": metric, "cases": len(both),
        "one": mean_interval([a for a, _ in both]), "other": mean_interval([b for _, b in both]),
        "difference": mean_interval(differences),
        "better": sum(d > 0 for d in differences), "worse": sum(d < 0 for d in differences),
    }  # fmt: skip


def _is_same_fact(row: RequestRow, other: RequestRow) -> bool:
    return all(row[name] == other[name] for name in FACT_COLUMNS)  # type: ignore[literal-required]
