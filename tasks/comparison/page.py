"""A comparison as one self-contained HTML page without scripts, and as CSV files."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from io import StringIO
from typing import Any

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
Row = dict[str, Any]
Tables = Mapping[str, Mapping[str, Cell]]


def render(groups: Sequence[Group]) -> dict[str, str]:
    """{file name: text} of everything that a comparison writes."""
    parts = [_part(group) for group in groups]
    style = files("editflow.tasks.report").joinpath("report.css").read_text(encoding="utf-8")
    own = files("editflow.tasks.comparison").joinpath("comparison.css").read_text(encoding="utf-8")
    page = template("editflow.tasks.comparison", PAGE).render(style=style + own, groups=parts)
    sheets = {f"{name}.csv": sheet(row for part in parts for row in part[name]) for name in SHEETS}
    return {PAGE: page, **sheets, ROWS: sheet(_rows(groups))}


def _part(group: Group) -> Row:
    """The data of a group: rows for the CSV files, and the plots that the page draws from them."""
    tables = {entry.label: metric_tables.cells(entry) for entry in group.completed}
    data: dict[str, list[Row]] = {
        "table": [row for entry in group.completed for row in _table(entry, tables[entry.label])],
        "curves": series.failure(group.completed),
        "retention": series.retention(group.completed),
        "drift": series.drift(group.completed),
        "norms": series.norms(group.completed),
        "null_space_use": series.null_space_use(group.completed),
        "differences": metric_tables.differences(group),
    }
    named = {name: [{"group": group.title, **row} for row in rows] for name, rows in data.items()}
    heads = metric_tables.columns(list(tables.values()))
    shown = {
        "title": group.title, "entries": group.rows, "cells": tables,
        "columns": heads, "apart": metric_tables.shown_differences(data["differences"], heads),
        "grounds": metric_tables.row_settings(group, tables, heads),
        "seeds": max((len(entry.results) for entry in group.completed), default=0),
        "alone": [entry.label for entry in group.completed if len(entry.results) == 1],
        "whole": data["table"], "first": group.completed[0].label if group.completed else "",
    }  # fmt: skip
    return named | shown | _pictures(group, data)


def _pictures(group: Group, data: Mapping[str, Sequence[Row]]) -> Row:
    styles = group.styles()
    layers = sorted({row["layer"] for row in data["norms"]})
    used = sorted({row["layer"] for row in data["null_space_use"]})

    def of_layer(name: str, layer: int, value: str, title: str) -> str:
        return charts.lines([row for row in data[name] if row["layer"] == layer], value, title, styles)

    return {
        "key": charts.key(styles),
        "failure": list(_failure(data["curves"], styles)),
        "moved": [(layer, of_layer("norms", layer, "norm", "‖Δ‖ / ‖W‖ in %")) for layer in layers],
        "lain": [(layer, of_layer("null_space_use", layer, "share", "‖P k‖² / ‖k‖² in %")) for layer in used],
        "heat_maps": list(_heat_maps(data["retention"])),
        "clouds": [picture for entry in group.completed for picture in _clouds(entry)],
    }


def _failure(rows: Sequence[Row], styles: charts.Styles) -> Iterable[tuple[str, str]]:
    """(title, plot) of each metric that was measured more than once; perplexity last."""
    for metric, facts in dict.fromkeys((row["metric"], row["facts"]) for row in rows if row["metric"] != "perplexity"):
        mine = [row for row in rows if (row["metric"], row["facts"]) == (metric, facts)]
        said = (
            f"{metric}, all facts edited so far" if facts == ALL else f"{metric}, each batch's own facts right after it"
        )
        yield said, charts.lines(mine, "value", f"{mine[0]['figure']} %", styles, percent=True)
    if mine := [row for row in rows if row["metric"] == "perplexity"]:
        yield "perplexity of held-out text", charts.lines(mine, "value", "perplexity", styles)


def _heat_maps(rows: Sequence[Row]) -> Iterable[tuple[str, list[tuple[str, str]]]]:
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


def _figure(rows: Sequence[Row], metric: str) -> str:
    return next(str(row["figure"]) for row in rows if row["metric"] == metric)


def _clouds(entry: ComparisonRow) -> Iterable[tuple[str, str]]:
    """(caption, picture) of the highest edited layer, of the first seed that was completed."""
    for artifact in series.drifts(entry.first_results, "drift_points")[-1:]:
        points = entry.first_results.lake.read(artifact).to_pylist()
        top = max(row["layer"] for row in points)
        yield f"{entry.label}, layer {top}", drift_picture([row for row in points if row["layer"] == top])


def _table(entry: ComparisonRow, cells: Mapping[str, Cell]) -> Iterable[Row]:
    for figure, cell in cells.items():
        yield {
            "label": entry.label, "figure": figure, "unit": cell.unit, "runs": len(entry.results),
            "before": cell.before, "after": cell.after,
        }  # fmt: skip


def _rows(groups: Sequence[Group]) -> Iterable[Row]:
    """What each row is, and how its runs ended."""
    for group, entry in rows_of(groups):
        settings = "; ".join(f"{key} = {value}" for key, value in entry.settings.items())
        ends = [(seed, "completed", run_results.record.name) for seed, run_results in entry.results.items()]
        ends += [(seed, f"failed: {message}", "") for seed, message in entry.failures.items()]
        for seed, status, _ in ends:
            run = entry.name if seed is None else f"{entry.name}-{seed}"
            yield {"group": group.title, "label": entry.label, "run": run, "seed": seed, "status": status,
                   "settings": settings}  # fmt: skip


def sheet(rows: Iterable[Row]) -> str:
    """Rows as CSV with a header, an interval in three columns; empty for no rows."""
    flat = [_flat(row) for row in rows]
    if not flat:
        return ""
    out = StringIO()
    writer = csv.DictWriter(out, list(flat[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return out.getvalue()


def _flat(row: Row) -> Row:
    found: Row = {}
    for key, value in row.items():
        if isinstance(value, Interval):
            found |= {key: value.value, f"{key} low": value.low, f"{key} high": value.high}
        else:
            found[key] = value
    return found
