"""Two runs on the cases that both of them edited, case by case."""

from __future__ import annotations

from typing import Any

from editing.metrics.intervals import mean_interval
from tasks.errors import NothingToCompare
from tasks.report.beyond import at_the_end
from tasks.report.course import Course

Row = dict[str, Any]
SAME = ("prompt", "subject", "target_new", "target_true")


def paired(one: Course, other: Course) -> list[Row]:
    """One row per metric and figure of cases that both runs have after their last batch: prompts, texts, ability.

    `difference` is the mean over cases of other − one with its 95 % bootstrap interval, which rests on pairs and is
    narrower than the runs' own intervals suggest. Raises NothingToCompare when no case is in both.
    """
    shared = [r for r, row in one.requests.items() if r in other.requests and _same(row, other.requests[r])]
    if not shared:
        raise NothingToCompare(one.record.run_id, other.record.run_id)
    rows = []
    for metric in one.metrics:
        figures = one.columns(metric) if metric in other.metrics else []
        for figure in (name for name in figures if name in other.columns(metric)):
            first, second = (course.cases(course.last, metric, figure) for course in (one, other))
            both = [(100 * first[r], 100 * second[r]) for r in shared if r in first and r in second]
            if both:
                rows.append(_row(f"{metric} {figure} %", both))
    theirs = at_the_end(other)
    for name, ours in at_the_end(one).items():
        both = [(value, theirs[name][case]) for case, value in ours.items() if case in theirs.get(name, {})]
        if both:
            rows.append(_row(name, both))
    return rows


def _row(metric: str, both: list[tuple[float, float]]) -> Row:
    apart = [b - a for a, b in both]
    return {
        "metric": metric, "cases": len(both),
        "one": mean_interval([a for a, _ in both]), "other": mean_interval([b for _, b in both]),
        "difference": mean_interval(apart), "better": sum(d > 0 for d in apart), "worse": sum(d < 0 for d in apart),
    }  # fmt: skip


def _same(row: Row, other: Row) -> bool:
    return all(row[name] == other[name] for name in SAME)
