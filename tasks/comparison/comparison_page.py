"""A comparison as one self-contained HTML page without scripts, and as CSV files."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from io import StringIO
from typing import TypedDict

from editflow.editing.metrics.intervals import Interval
from editflow.tasks.comparison import comparison_charts, metric_tables, series
from editflow.tasks.comparison.comparison_rows import ComparisonRow, Group
from editflow.tasks.comparison.metric_tables import Cell, ComparedColumn, DifferenceRow
from editflow.tasks.report.report_charts import drift as drift_plot
from editflow.tasks.report.report_charts import heat_map
from editflow.tasks.report.report_page import template

PAGE, TABLE, ROWS = "comparison.html", "table.csv", "rows.csv"
GROUP_TABLES = ("table", "curves", "retention", "drift", "norms", "null_space_use", "differences")
"""The CSV files with rows of each group; fields of GroupData."""
FILE_NAMES = frozenset({PAGE, ROWS, *(f"{name}.csv" for name in GROUP_TABLES)})
"""The names of a comparison's files. No other name from a lake is written to disk."""
ALL_FACTS = "all facts so far"


class ComparedScore(TypedDict):
    """A score of a row before and after, over a number of runs."""

    label: str
    figure: str
    unit: str
    runs: int
    before: Interval
    after: Interval


class RunRow(TypedDict):
    """A run of a row: its settings, and `completed` or the reason why it failed."""

    group: str
    label: str
    run: str
    seed: int | None
    status: str
    settings: str


@dataclass(frozen=True)
class GroupData:
    """The cells of a group's main table by label and score, and the rows of its CSV files."""

    cells: Mapping[str, Mapping[str, Cell]]
    table: list[ComparedScore]
    curves: list[series.CurvePoint]
    retention: list[series.RetentionPoint]
    drift: list[series.DriftPoint]
    norms: list[series.NormPoint]
    null_space_use: list[series.UsePoint]
    differences: list[DifferenceRow]


@dataclass(frozen=True)
class GroupPage:
    """A group's values for the template. Plots are SVG, with their caption or layer."""

    title: str
    rows: Sequence[ComparisonRow]
    cells: Mapping[str, Mapping[str, Cell]]
    columns: Sequence[ComparedColumn]
    unedited_rows: Sequence[tuple[str, Mapping[str, Interval]]]
    seeds: int
    single_run_labels: Sequence[str]
    scores: Sequence[ComparedScore]
    first: str
    differences: tuple[Sequence[str], Mapping[str, Mapping[str, DifferenceRow]]] | None
    legend: str
    curves: Sequence[tuple[str, str]]
    heat_maps: Sequence[tuple[str, Sequence[tuple[str, str]]]]
    drift: Sequence[tuple[str, str]]
    norms: Sequence[tuple[int, str]]
    null_space_use: Sequence[tuple[int, str]]


def render(groups: Sequence[Group]) -> dict[str, str]:
    """{file name: text} of the page and all CSV files."""
    found = [(group, _data(group)) for group in groups]
    style = files("editflow.tasks.report").joinpath("report.css").read_text(encoding="utf-8")
    own = files("editflow.tasks.comparison").joinpath("comparison.css").read_text(encoding="utf-8")
    pages = [_group_page(group, data) for group, data in found]
    page = template("editflow.tasks.comparison", PAGE).render(style=style + own, groups=pages)
    tables = {
        f"{name}.csv": csv_text({"group": group.title, **row} for group, data in found for row in getattr(data, name))
        for name in GROUP_TABLES
    }
    return {PAGE: page, **tables, ROWS: csv_text(_run_rows(groups))}


def _data(group: Group) -> GroupData:
    rows = group.completed
    cells = {row.label: metric_tables.score_cells(row) for row in rows}
    return GroupData(
        cells=cells,
        table=[score for row in rows for score in _score_rows(row, cells[row.label])],
        curves=series.metric_curves(rows),
        retention=series.retention(rows),
        drift=series.drift(rows),
        norms=series.norms(rows),
        null_space_use=series.null_space_use(rows),
        differences=metric_tables.differences(group),
    )


def _group_page(group: Group, data: GroupData) -> GroupPage:
    columns = metric_tables.main_columns(list(data.cells.values()))
    styles = group.styles()
    return GroupPage(
        title=group.title,
        rows=group.rows,
        cells=data.cells,
        columns=columns,
        unedited_rows=metric_tables.unedited_rows(group, data.cells, columns),
        seeds=max((len(row.results) for row in group.completed), default=0),
        single_run_labels=[row.label for row in group.completed if len(row.results) == 1],
        scores=data.table,
        first=group.completed[0].label if group.completed else "",
        differences=metric_tables.main_differences(data.differences, columns) if data.differences else None,
        legend=comparison_charts.legend(styles),
        curves=list(_curve_plots(data.curves, styles)),
        heat_maps=list(_heat_maps(data.retention)),
        drift=[plot for row in group.completed for plot in _drift_plots(row)],
        norms=list(_layer_plots(data.norms, "norm", "‖Δ‖ / ‖W‖ in %", styles)),
        null_space_use=list(_layer_plots(data.null_space_use, "share", "‖P k‖² / ‖k‖² in %", styles)),
    )


def _layer_plots(
    points: Sequence[series.NormPoint] | Sequence[series.UsePoint],
    value: str,
    title: str,
    styles: comparison_charts.Styles,
) -> Iterable[tuple[int, str]]:
    """(layer, plot) of each layer."""
    for layer in sorted({point["layer"] for point in points}):
        yield (
            layer,
            comparison_charts.lines([point for point in points if point["layer"] == layer], value, title, styles),
        )


def _curve_plots(points: Sequence[series.CurvePoint], styles: comparison_charts.Styles) -> Iterable[tuple[str, str]]:
    """(caption, plot) of each metric and set of facts; perplexity last."""
    for metric, facts in dict.fromkeys((p["metric"], p["facts"]) for p in points if p["metric"] != "perplexity"):
        chosen = [p for p in points if (p["metric"], p["facts"]) == (metric, facts)]
        asked = "all facts edited so far" if facts == ALL_FACTS else "each batch's own facts right after it"
        yield (
            f"{metric}, {asked}",
            comparison_charts.lines(chosen, "value", f"{chosen[0]['figure']} %", styles, percent=True),
        )
    if chosen := [p for p in points if p["metric"] == "perplexity"]:
        yield "perplexity of held-out text", comparison_charts.lines(chosen, "value", "perplexity", styles)


def _heat_maps(points: Sequence[series.RetentionPoint]) -> Iterable[tuple[str, list[tuple[str, str]]]]:
    """(metric, [(label, plot)]), the metrics in the order of the spec."""
    for metric in dict.fromkeys(point["metric"] for point in points):
        labels = dict.fromkeys(point["label"] for point in points if point["metric"] == metric)
        score = next(point["figure"] for point in points if point["metric"] == metric)
        plots = [
            (label, heat_map([point for point in points if point["label"] == label], metric, score)) for label in labels
        ]
        yield metric, plots


def _drift_plots(row: ComparisonRow) -> Iterable[tuple[str, str]]:
    """(caption, plot) of the highest edited layer of a row, from its first completed run."""
    for artifact in series.last_state_artifacts(row.first_results, "drift_points")[-1:]:
        points = row.first_results.lake.read(artifact).to_pylist()
        top = max(point["layer"] for point in points)
        yield f"{row.label}, layer {top}", drift_plot([point for point in points if point["layer"] == top])


def _score_rows(row: ComparisonRow, cells: Mapping[str, Cell]) -> Iterable[ComparedScore]:
    for score, cell in cells.items():
        yield {
            "label": row.label, "figure": score, "unit": cell.unit, "runs": len(row.results),
            "before": cell.before, "after": cell.after,
        }  # fmt: skip


def _run_rows(groups: Sequence[Group]) -> Iterable[RunRow]:
    """Each run with its settings and status."""
    for group in groups:
        for row in group.rows:
            settings = "; ".join(f"{key} = {value}" for key, value in row.settings.items())
            failed = {seed: f"failed: {reason}" for seed, reason in row.failures.items()}
            for seed, status in {**dict.fromkeys(row.results, "completed"), **failed}.items():
                run = row.name if seed is None else f"{row.name}-{seed}"
                yield {"group": group.title, "label": row.label, "run": run, "seed": seed, "status": status,
                       "settings": settings}  # fmt: skip


def csv_text(rows: Iterable[Mapping[str, object]]) -> str:
    """Rows as CSV with a header, an interval in three columns; empty for no rows."""
    flat = [_flat(row) for row in rows]
    if not flat:
        return ""
    out = StringIO()
    writer = csv.DictWriter(out, list(flat[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return out.getvalue()


def _flat(row: Mapping[str, object]) -> dict[str, object]:
    """A row in which each interval is replaced by its value and bounds."""
    found: dict[str, object] = {}
    for key, value in row.items():
        if isinstance(value, Interval):
            found |= {key: value.value, f"{key} low": value.low, f"{key} high": value.high}
        else:
            found[key] = value
    return found
