"""The main table of a comparison, parsed from its `table.csv`, for the terminal, `--json` and Prefect's page."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from io import StringIO
from typing import NamedTuple

from editflow.editing.metrics.intervals import Interval
from editflow.tasks.comparison.metric_tables import Cell, ComparedColumn, main_columns
from editflow.tasks.errors import BadRecord


class Table(NamedTuple):
    """The main table of a group: its columns, and its cells by label and score."""

    title: str
    columns: Sequence[ComparedColumn]
    cells: Mapping[str, Mapping[str, Cell]]


def parse_tables(text: str) -> list[Table]:
    """The tables of a comparison's `table.csv`, one per group. Raises BadRecord if the file has another format."""
    groups: dict[str, dict[str, dict[str, Cell]]] = {}
    try:
        for row in csv.DictReader(StringIO(text)):
            cell = Cell(row["unit"], _interval(row, "before"), _interval(row, "after"))
            groups.setdefault(row["group"], {}).setdefault(row["label"], {})[row["figure"]] = cell
        return [Table(title, main_columns(list(cells.values())), cells) for title, cells in groups.items()]
    except (KeyError, ValueError, TypeError, AttributeError, csv.Error) as error:
        raise BadRecord(
            "table.csv of this comparison has an invalid format: find its artifact with `editflow lineage`, and run "
            "`editflow compare` with another --lake to create it again"
        ) from error


def text_rows(table: Table, failures: Mapping[str, str]) -> list[dict[str, str]]:
    """The rows as {heading: text}: the unedited model, each method, and then the methods without a completed run."""
    first = next(iter(table.cells.values()))
    found = [{"method": "before all edits", **{c.heading: f"{first[c.score].before.value:.4g}"
              for c in table.columns if c.score in first}}]  # fmt: skip
    for label in dict.fromkeys([*table.cells, *failures]):
        cells = table.cells.get(label, {})
        texts = {c.heading: _cell_text(cells[c.score].after) for c in table.columns if c.score in cells}
        found.append({"method": label, **texts, **({"failed": failures[label]} if label in failures else {})})
    return found


def _cell_text(score: Interval) -> str:
    """The value ± half the width of its interval."""
    if score.low is None or score.high is None:
        return f"{score.value:.4g}"
    return f"{score.value:.4g} ±{(score.high - score.low) / 2:.3g}"


def _interval(row: Mapping[str, str], name: str) -> Interval:
    low, high = (float(row[f"{name} {end}"]) if row[f"{name} {end}"] else None for end in ("low", "high"))
    return Interval(float(row[name]), low, high)
