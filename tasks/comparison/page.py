"""A comparison as one self-contained HTML page without scripts, and as CSV files."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from io import StringIO
from typing import TypedDict

from editflow.editing.metrics.intervals import Interval
from editflow.tasks.comparison import charts, metric_tables, series
from editflow.tasks.comparison.comparison_rows import ComparisonRow, Group, rows_of
from editflow.tasks.comparison.metric_tables import Cell
from editflow.tasks.report.charts import drift as drift_picture
from editflow.tasks.report.charts import heat_map
from editflow.tasks.report.page import template

PAGE, TABLE, ROWS = "comparison.html", "table.csv", "rows.csv"
SHEETS = ("table", "curves", "retention", "drift", "norms", "null_space_use", "differences")
NAMES = frozenset({PAGE, ROWS, *(f"{name}.csv" for name in SHEETS)})
"""Of all files of a comparison: no other name comes out of a lake."""
OWN, ALL = "the batch's own facts", "all facts so far"
Tables = Mapping[str, Mapping[str, Cell]]


class ScoreRow(TypedDict):
    """A score of a row before and after, over so many runs."""

    label: str
    figure: str
    unit: str
    runs: int
    before: Interval
    after: Interval


class RunRow(TypedDict):
    """A run of a row: its settings and how it ended."""

    group: str
    label: str
    run: str
    seed: int | None
    status: str
    settings: str


@dataclass(frozen=True)
class GroupData:
    """The cells of the main table, and the rows of a group's CSV files by the files' names."""

    cells: Tables
    table: list[ScoreRow]
    curves: list[series.CurvePoint]
    retention: list[series.RetentionPoint]
    drift: list[series.DriftPoint]
    norms: list[series.NormPoint]
    null_space_use: list[series.UsePoint]
    differences: list[metric_tables.DifferenceRow]


def render(groups: Sequence[Group]) -> dict[str, str]:
    """{file name: text} of everything that a comparison writes."""
    found = [(group, _data(group)) for group in groups]
    parts = [_page_values(group, data) | _plots(group, data) for group, data in found]
    style = files("editflow.tasks.report").joinpath("report.css").read_text(encoding="utf-8")
    own = files("editflow.tasks.comparison").joinpath("comparison.css").read_text(encoding="utf-8")
    page = template("editflow.tasks.comparison", PAGE).render(style=style + own, groups=parts)
    sheets = {
        f"{name}.csv": sheet({"group": group.title, **row} for group, data in found for row in getattr(data, name))
        for name in SHEETS
    }
    return {PAGE: page, **sheets, ROWS: sheet(_rows(groups))}


def _data(group: Group) -> GroupData:
    rows = group.completed
    tables = {entry.label: metric_tables.cells(entry) for entry in rows}
    return GroupData(
        cells=tables,
        table=[row for entry in rows for row in _table(entry, tables[entry.label])],
        curves=series.failure(rows),
        retention=series.retention(rows),
        drift=series.drift(rows),
        norms=series.norms(rows),
        null_space_use=series.null_space_use(rows),
        differences=metric_tables.differences(group),
    )


def _page_values(group: Group, data: GroupData) -> dict[str, object]:
    """What the template shows of a group besides plots."""
    heads = metric_tables.columns(list(data.cells.values()))
    return {
        "title": group.title, "entries": group.rows, "cells": data.cells,
        "columns": heads, "apart": metric_tables.shown_differences(data.differences, heads),
        "grounds": metric_tables.row_settings(group, data.cells, heads),
        "seeds": max((len(entry.results) for entry in group.completed), default=0),
        "alone": [entry.label for entry in group.completed if len(entry.results) == 1],
        "whole": data.table, "first": group.completed[0].label if group.completed else "",
        "differences": data.differences,
    }  # fmt: skip


def _plots(group: Group, data: GroupData) -> dict[str, object]:
    """The plots of a group, for the template."""
    styles = group.styles()
    return {
        "key": charts.key(styles),
        "failure": list(_failure(data.curves, styles)),
        "moved": list(_by_layer(data.norms, "norm", "‖Δ‖ / ‖W‖ in %", styles)),
        "lain": list(_by_layer(data.null_space_use, "share", "‖P k‖² / ‖k‖² in %", styles)),
        "heat_maps": list(_heat_maps(data.retention)),
        "clouds": [picture for entry in group.completed for picture in _clouds(entry)],
    }


def _by_layer(
    rows: Sequence[series.NormPoint] | Sequence[series.UsePoint], value: str, title: str, styles: charts.Styles
) -> Iterable[tuple[int, str]]:
    for layer in sorted({row["layer"] for row in rows}):
        yield layer, charts.lines([row for row in rows if row["layer"] == layer], value, title, styles)


def _failure(rows: Sequence[series.CurvePoint], styles: charts.Styles) -> Iterable[tuple[str, str]]:
    """(title, plot) of each metric that was measured more than once; perplexity last."""
    for metric, facts in dict.fromkeys((row["metric"], row["facts"]) for row in rows if row["metric"] != "perplexity"):
        mine = [row for row in rows if (row["metric"], row["facts"]) == (metric, facts)]
        title = (
            f"{metric}, all facts edited so far" if facts == ALL else f"{metric}, each batch's own facts right after it"
        )
        yield title, charts.lines(mine, "value", f"{mine[0]['figure']} %", styles, percent=True)
    if mine := [row for row in rows if row["metric"] == "perplexity"]:
        yield "perplexity of held-out text", charts.lines(mine, "value", "perplexity", styles)


def _heat_maps(rows: Sequence[series.RetentionPoint]) -> Iterable[tuple[str, list[tuple[str, str]]]]:
    """(metric, [(label, picture)]), the metrics in the order of the spec."""
    for metric in dict.fromkeys(row["metric"] for row in rows):
        labels = dict.fromkeys(row["label"] for row in rows if row["metric"] == metric)
        yield (
            metric,
            [
                (label, heat_map([row for row in rows if row["label"] == label], metric, _figure(rows, metric)))
                for label in labels
            ],
        )


def _figure(rows: Sequence[series.RetentionPoint], metric: str) -> str:
    return next(str(row["figure"]) for row in rows if row["metric"] == metric)


def _clouds(entry: ComparisonRow) -> Iterable[tuple[str, str]]:
    """(caption, picture) of the highest edited layer, of the first seed that was completed."""
    for artifact in series.drifts(entry.first_results, "drift_points")[-1:]:
        points = entry.first_results.lake.read(artifact).to_pylist()
        top = max(row["layer"] for row in points)
        yield f"{entry.label}, layer {top}", drift_picture([row for row in points if row["layer"] == top])


def _table(entry: ComparisonRow, cells: Mapping[str, Cell]) -> Iterable[ScoreRow]:
    for figure, cell in cells.items():
        yield {
            "label": entry.label, "figure": figure, "unit": cell.unit, "runs": len(entry.results),
            "before": cell.before, "after": cell.after,
        }  # fmt: skip


def _rows(groups: Sequence[Group]) -> Iterable[RunRow]:
    """What each row is, and how its runs ended."""
    for group, entry in rows_of(groups):
        settings = "; ".join(f"{key} = {value}" for key, value in entry.settings.items())
        ends = [(seed, "completed", run_results.record.name) for seed, run_results in entry.results.items()]
        ends += [(seed, f"failed: {message}", "") for seed, message in entry.failures.items()]
        for seed, status, _ in ends:
            run = entry.name if seed is None else f"{entry.name}-{seed}"
            yield {"group": group.title, "label": entry.label, "run": run, "seed": seed, "status": status,
                   "settings": settings}  # fmt: skip


def sheet(rows: Iterable[Mapping[str, object]]) -> str:
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
    found: dict[str, object] = {}
    for key, value in row.items():
        if isinstance(value, Interval):
            found |= {key: value.value, f"{key} low": value.low, f"{key} high": value.high}
        else:
            found[key] = value
    return found
