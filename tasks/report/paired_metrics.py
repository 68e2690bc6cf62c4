"""Two runs compared on the cases that both edited, case by case."""

from __future__ import annotations

from collections.abc import Sequence

from editflow.editing.metrics.intervals import mean_interval
from editflow.tasks.errors import NothingToCompare
from editflow.tasks.report.other_metrics import at_the_end
from editflow.tasks.report.row_types import RequestRow
from editflow.tasks.report.run_results import RunResults
from editflow.tasks.report.table_rows import Paired

Pairs = dict[str, tuple[float, float]]
SAME = ("prompt", "subject", "target_new", "target_true")


def paired(one: RunResults, other: RunResults) -> list[Paired]:
    """One row per metric and score of cases that both runs have after their last batch: prompts, texts, ability.

    `difference` is the mean over cases of other − one with its 95 % bootstrap interval, which rests on pairs and is
    narrower than the runs' own intervals suggest. Raises NothingToCompare when no case is in both.
    """
    return [row_of(name, list(both.values())) for name, both in pairs(one, other).items()]


def pairs(one: RunResults, other: RunResults) -> dict[str, Pairs]:
    """{score with its unit: {case: (one, other)}} that `paired` compares."""
    shared = [r for r, row in one.requests.items() if r in other.requests and _same(row, other.requests[r])]
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
    theirs = at_the_end(other)
    for name, ours in at_the_end(one).items():
        both = theirs.get(name, {})
        found[name] = {case: (value, both[case]) for case, value in ours.items() if case in both}
    return {name: both for name, both in found.items() if both}


def row_of(metric: str, both: Sequence[tuple[float, float]]) -> Paired:
    """The means of both, the interval of the difference, and how many cases are better and worse in the other."""
    differences = [b - a for a, b in both]
    return {
        "metric": metric, "cases": len(both),
        "one": mean_interval([a for a, _ in both]), "other": mean_interval([b for _, b in both]),
        "difference": mean_interval(differences),
        "better": sum(d > 0 for d in differences), "worse": sum(d < 0 for d in differences),
    }  # fmt: skip


def _same(row: RequestRow, other: RequestRow) -> bool:
    return all(row[name] == other[name] for name in SAME)  # type: ignore[literal-required]
