"""Series of scores and measures over edits, batches and layers: means over seeds, one row per point."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import TypedDict, TypeVar, cast

from editflow.tasks.comparison.comparison_rows import ComparisonRow, edit_counts
from editflow.tasks.report import null_space_tables, report_tables
from editflow.tasks.report.run_results import RunResults
from editflow.tasks.stages.drift import read_drift


class OverSeeds(TypedDict, total=False):
    """The minimum and maximum of a point over seeds, and the number of seeds; `_over_seeds` adds them."""

    least: float
    most: float
    seeds: int


class CurvePoint(OverSeeds):
    """A metric's score after a number of edits, of the facts that `facts` names."""

    label: str
    metric: str
    figure: str
    facts: str
    edits: int
    value: float


class RetentionPoint(OverSeeds):
    """A metric's score of a batch's facts in a later state."""

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
    """The mean of ‖P k‖² / ‖k‖² over a batch's keys in a layer, in percent."""

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


def metric_curves(completed: Iterable[ComparisonRow]) -> list[CurvePoint]:
    """Each metric against the number of edits: of all facts so far, and of each batch's own facts right after it."""
    points: list[CurvePoint] = []
    for variant, run in _runs(completed):
        edits = edit_counts(run)
        points += [
            {"label": variant.label, "metric": row["metric"], "figure": run.plotted_score(row["metric"]),
             "facts": row["facts"], "edits": edits[row["batch"]], "value": row["percent"]}
            for row in report_tables.by_batch(run)
        ]  # fmt: skip
        points += [
            {"label": variant.label, "metric": "perplexity", "figure": "perplexity", "facts": "held-out text",
             "edits": edits[row["batch"]], "value": row["perplexity"]}
            for row in report_tables.perplexity_by_batch(run)
        ]  # fmt: skip
    return _over_seeds(points, "value")


def retention(completed: Iterable[ComparisonRow]) -> list[RetentionPoint]:
    """The score of each batch's facts in each later state in which all of them were evaluated."""
    points: list[RetentionPoint] = [
        {"label": variant.label, "metric": row["metric"], "figure": run.plotted_score(row["metric"]),
         "batch": row["batch"], "state": row["state"], "percent": row["percent"]}
        for variant, run in _runs(completed) for row in report_tables.retention(run)
    ]  # fmt: skip
    return _over_seeds(points, "percent")


def norms(completed: Iterable[ComparisonRow]) -> list[NormPoint]:
    """The norm of each batch's change of each layer, in percent of the norm of the weight."""
    points: list[NormPoint] = [
        {"label": variant.label, "layer": row["layer"], "batch": row["batch"], "edits": edit_counts(run)[row["batch"]],
         "norm": row["norm"]}
        for variant, run in _runs(completed) for row in report_tables.norms(run)
    ]  # fmt: skip
    return _over_seeds(points, "norm")


def null_space_use(completed: Iterable[ComparisonRow]) -> list[UsePoint]:
    """The share of the energy of each batch's keys in the null space, for methods that use one."""
    points: list[UsePoint] = [
        {"label": variant.label, "layer": row["layer"], "batch": row["batch"], "edits": edit_counts(run)[row["batch"]],
         "share": row["share"]}
        for variant, run in _runs(completed) for row in null_space_tables.null_space_use(run)
    ]  # fmt: skip
    return _over_seeds(points, "share")


def drift(completed: Iterable[ComparisonRow]) -> list[DriftPoint]:
    """The drift of hidden states after the last batch, by layer and measure."""
    points: list[DriftPoint] = [
        {"label": variant.label, "layer": layer, "measure": measure, "value": value}
        for variant, run in _runs(completed) for artifact in last_state_artifacts(run, "drift")[-1:]
        for layer, found in read_drift(run.lake, artifact).items() for measure, value in found.items()
    ]  # fmt: skip
    return _over_seeds(points, "value")


def last_state_artifacts(run: RunResults, kind: str) -> list[str]:
    """The artifacts of a kind that compares hidden states of the last state with those of the base model."""
    return [m.id for m in run.of_kind(kind) if run.state_number(run.parent_of(m, "edited")) == run.last]


def _runs(completed: Iterable[ComparisonRow]) -> Iterable[tuple[ComparisonRow, RunResults]]:
    return ((row, run) for row in completed for run in row.results.values())


def _over_seeds(points: Sequence[Point], value: str) -> list[Point]:
    """Merge points that differ only in `value`: mean, minimum, maximum and number of seeds."""
    values: dict[tuple[object, ...], list[float]] = {}
    names = [name for name in points[0] if name != value] if points else []
    for point in points:
        values.setdefault(tuple(point[name] for name in names), []).append(cast("float", point[value]))
    return [
        cast("Point", {**dict(zip(names, key, strict=True)), value: fmean(found), **_spread(found)})
        for key, found in values.items()
    ]


def _spread(values: Sequence[float]) -> OverSeeds:
    return {"least": min(values), "most": max(values), "seeds": len(values)}
