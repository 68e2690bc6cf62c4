"""Rows of the table before and after for what is measured beyond prompts: generated texts and general ability."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from statistics import fmean
from typing import Any

from editing.metrics.intervals import mean_interval
from tasks.report.course import Course, one

Row = dict[str, Any]
Cases = dict[str, float]
SHARE = "free "
"""What metrics over texts begin with that are shares, told in percent; the others have units of their own."""


def beyond(course: Course) -> list[Row]:
    """One row per metric, over the cases that have it in both states."""
    texts, ability = _texts(course), _ability(course)
    return [*_rows(texts), *_rows(ability)]


def _rows(found: Mapping[str, dict[int, Cases]]) -> Iterator[Row]:
    for name, (first, last) in ((name, (states[0], states[1])) for name, states in found.items()):
        both = [case for case in first if case in last]
        if both:
            before, after = ([cases[case] for case in both] for cases in (first, last))
            change = mean_interval([b - a for a, b in zip(before, after, strict=True)])
            unit = "%" if "accuracy" in name or SHARE in name else ""
            yield {"metric": name, "unit": unit, "before": mean_interval(before), "after": mean_interval(after),
                   "change": change}  # fmt: skip


def _texts(course: Course) -> dict[str, dict[int, Cases]]:
    """{metric: {0 before, 1 after: {request: mean over its texts}}}."""
    values: dict[str, dict[int, dict[str, list[float]]]] = {}
    for manifest in course.of_kind("text_scores"):
        made = course.manifests[one(manifest.parents, "generations")] if "generations" in manifest.parents else manifest
        place = _end(course, one(made.parents, "state"))
        for row in course.lake.read(manifest.id).to_pylist() if place is not None else ():
            share = row["metric"].startswith(SHARE)
            name = f"{row['role']} {row['metric']}" if share else row["metric"]
            if row["value"] is not None:
                states = values.setdefault(name, {0: {}, 1: {}})
                states[int(place or 0)].setdefault(row["request"], []).append(row["value"] * (100 if share else 1))
    return {
        name: {n: {case: fmean(found) for case, found in cases.items()} for n, cases in states.items()}
        for name, states in values.items()
    }


def _ability(course: Course) -> dict[str, dict[int, Cases]]:
    """The same of each set and way of asking: 100 for a right answer, 0 for a wrong one or none."""
    values: dict[str, dict[int, Cases]] = {}
    for manifest in course.of_kind("ability"):
        place = _end(course, one(manifest.parents, "state"))
        for row in course.lake.read(manifest.id).to_pylist() if place is not None else ():
            states = values.setdefault(f"{row['set']} accuracy, by {row['way']}", {0: {}, 1: {}})
            states[int(place or 0)][row["case_id"]] = 100.0 * (row["predicted"] == row["label"])
    return values


def _end(course: Course, state: str) -> int | None:
    """0 for the model as it was, 1 for the last state, None for those between."""
    return {0: 0, course.last: 1}.get(course.states[state])
