"""Scores between the first edit and the last: means over seeds, one row a point, for plots and CSV."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import TypedDict, TypeVar, cast

from editflow.tasks.comparison.comparison_rows import ComparisonRow, edits
from editflow.tasks.report import null_space_tables, report_tables
from editflow.tasks.report.run_results import RunResults
from editflow.tasks.stages.drift import read_drift


class OverSeeds(TypedDict, total=False):
    """The least and the largest value of a point over seeds, and their number; `_over_seeds` adds them."""

    least: float
    most: float
    seeds: int


class CurvePoint(OverSeeds):
    """A score of a metric after so many edits."""

    label: str
    metric: str
    figure: str
    facts: str
    edits: int
    value: float


class RetentionPoint(OverSeeds):
    """A score of a batch's facts in a later state."""

    label: str
    metric: str
    figure: str
    batch: int
    state: int
    percent: float


class NormPoint(OverSeeds):
    """‖Δ‖ / ‖W‖ of a layer in a batch, in percent."""

    label: str
    layer: int
    batch: int
    edits: int
    norm: float


class UsePoint(OverSeeds):
    """‖P k‖² / ‖k‖² of a batch's keys in a layer, in percent."""

    label: str
    layer: int
    batch: int
    edits: int
    share: float


class DriftPoint(OverSeeds):
    """A measure of a layer's drift after the last batch."""

    label: str
    layer: int
    measure: str
    value: float


Point = TypeVar("Point", bound=Mapping[str, object])


def failure(entries: Iterable[ComparisonRow]) -> list[CurvePoint]:
    """A metric against the number of edits: of all facts so far, and of each batch's own right after it."""
    rows: list[CurvePoint] = []
    for entry, run in _runs(entries):
        count = edits(run)
        rows += [
            {"label": entry.label, "metric": row["metric"], "figure": run.plotted_score(row["metric"]),
             "facts": row["facts"], "edits": count[row["batch"]], "value": row["percent"]}
            for row in report_tables.by_batch(run)
        ]  # fmt: skip
        rows += [
            {"label": entry.label, "metric": "perplexity", "figure": "perplexity", "facts": "held-out text",
             "edits": count[row["batch"]], "value": row["perplexity"]}
            for row in report_tables.perplexity_by_batch(run)
        ]  # fmt: skip
    return _over_seeds(rows, "value")


def retention(entries: Iterable[ComparisonRow]) -> list[RetentionPoint]:
    """The score of each batch's facts in each later state that was evaluated on all of them."""
    rows: list[RetentionPoint] = [
        {"label": entry.label, "metric": row["metric"], "figure": run.plotted_score(row["metric"]),
         "batch": row["batch"], "state": row["state"], "percent": row["percent"]}
        for entry, run in _runs(entries) for row in report_tables.retention(run)
    ]  # fmt: skip
    return _over_seeds(rows, "percent")


def norms(entries: Iterable[ComparisonRow]) -> list[NormPoint]:
    """The norm of each batch's change of each layer, in percent of the weight's."""
    rows: list[NormPoint] = [
        {"label": entry.label, "layer": row["layer"], "batch": row["batch"], "edits": edits(run)[row["batch"]],
         "norm": row["norm"]}
        for entry, run in _runs(entries) for row in report_tables.norms(run)
    ]  # fmt: skip
    return _over_seeds(rows, "norm")


def null_space_use(entries: Iterable[ComparisonRow]) -> list[UsePoint]:
    """The share of the energy of each batch's keys that lies in the null space; of rows that know one."""
    rows: list[UsePoint] = [
        {"label": entry.label, "layer": row["layer"], "batch": row["batch"], "edits": edits(run)[row["batch"]],
         "share": row["share"]}
        for entry, run in _runs(entries) for row in null_space_tables.null_space_use(run)
    ]  # fmt: skip
    return _over_seeds(rows, "share")


def drift(entries: Iterable[ComparisonRow]) -> list[DriftPoint]:
    """How far hidden states had moved after the last batch, by layer and measure."""
    rows: list[DriftPoint] = [
        {"label": entry.label, "layer": layer, "measure": measure, "value": value}
        for entry, run in _runs(entries) for artifact in drifts(run, "drift")[-1:]
        for layer, found in read_drift(run.lake, artifact).items() for measure, value in found.items()
    ]  # fmt: skip
    return _over_seeds(rows, "value")


def drifts(run: RunResults, kind: str) -> list[str]:
    """The artifacts of a kind that compare the last state's hidden states with the model's."""
    return [m.id for m in run.of_kind(kind) if run.state_number(run.parent_of(m, "edited")) == run.last]


def _runs(entries: Iterable[ComparisonRow]) -> Iterable[tuple[ComparisonRow, RunResults]]:
    return ((entry, run) for entry in entries for run in entry.results.values())


def _over_seeds(rows: Sequence[Point], value: str) -> list[Point]:
    """Rows that differ in `value` alone as one: its mean, least and most, and over how many seeds."""
    seen: dict[tuple[object, ...], list[float]] = {}
    names = [name for name in rows[0] if name != value] if rows else []
    for row in rows:
        seen.setdefault(tuple(row[name] for name in names), []).append(cast("float", row[value]))
    return [
        cast("Point", {**dict(zip(names, key, strict=True)), value: fmean(found), **_spread(found)})
        for key, found in seen.items()
    ]


def _spread(values: Sequence[float]) -> OverSeeds:
    return {"least": min(values), "most": max(values), "seeds": len(values)}
