"""The main table of a comparison, read from its CSV file: for the terminal and for programs."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from io import StringIO
from typing import NamedTuple

from editflow.editing.metrics.intervals import Interval
from editflow.tasks.comparison.metric_tables import Cell, Column, columns
from editflow.tasks.errors import BadRecord


class Table(NamedTuple):
    """A group's cells by label and score, and the columns of its main table."""

    title: str
    columns: Sequence[Column]
    cells: Mapping[str, Mapping[str, Cell]]


def tables(text: str) -> list[Table]:
    """The groups of a comparison's `table.csv`, in order. Raises BadRecord for what no comparison writes."""
    found: dict[str, dict[str, dict[str, Cell]]] = {}
    try:
        for row in csv.DictReader(StringIO(text)):
            cell = Cell(row["unit"], _interval(row, "before"), _interval(row, "after"))
            found.setdefault(row["group"], {}).setdefault(row["label"], {})[row["figure"]] = cell
        return [Table(title, columns(list(cells.values())), cells) for title, cells in found.items()]
    except (KeyError, ValueError, TypeError, AttributeError, csv.Error) as error:
        raise BadRecord(
            "the lake's table.csv of this comparison is none that a comparison writes: `editflow lineage` names its "
            "artifact, and `editflow compare` with another --lake makes it again"
        ) from error


def rows(table: Table, failures: Mapping[str, str]) -> list[dict[str, str]]:
    """The unedited model, then a row per method, as texts; failed rows come last."""
    first = next(iter(table.cells.values()))
    found = [{"method": "before all edits", **{c.head: f"{first[c.figure].before.value:.4g}"
              for c in table.columns if c.figure in first}}]  # fmt: skip
    for label in dict.fromkeys([*table.cells, *failures]):
        cells = table.cells.get(label, {})
        shown = {c.head: _shown(cells[c.figure].after) for c in table.columns if c.figure in cells}
        found.append({"method": label, **shown, **({"failed": failures[label]} if label in failures else {})})
    return found


def _shown(found: Interval) -> str:
    """A score with half the width of its interval."""
    if found.low is None or found.high is None:
        return f"{found.value:.4g}"
    return f"{found.value:.4g} ±{(found.high - found.low) / 2:.3g}"


def _interval(row: Mapping[str, str], name: str) -> Interval:
    low, high = (float(row[f"{name} {end}"]) if row[f"{name} {end}"] else None for end in ("low", "high"))
    return Interval(float(row[name]), low, high)
