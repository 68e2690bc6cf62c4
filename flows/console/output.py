"""Prints results: tables for people, JSON for programs, one line for errors."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from editflow.flows.console.errors import UsageError
from editflow.storage.address import Address
from editflow.storage.containment import absolute_root
from editflow.storage.errors import LakeNotWritable
from editflow.tasks.console import terminal
from editflow.tasks.console.terminal import quoted, safe, shortened

if TYPE_CHECKING:
    from editflow.storage.artifacts.store import ArtifactRef
    from editflow.storage.records.runs import Use

PIPE_WIDTH = 100_000
"""Line width in a pipe, so that no line is wrapped."""

MAX_CELL = 500
"""Maximum number of characters of a table cell; JSON is not cut."""


def lake_folder(given: str | None, flag: str = "--lake") -> str:
    """The folder given, or else EDITFLOW_LAKE, or else ./lake. For flags other than --lake: the folder given.

    Raises UsageError for a URL and for an invalid folder name; see `editflow.storage.containment.absolute_root`.
    """
    place = given if flag != "--lake" else given or os.environ.get("EDITFLOW_LAKE") or "lake"
    if not place:
        raise UsageError(f"{flag} is empty: give a folder")
    place = place.removeprefix("file://")
    if "://" in place:
        raise UsageError(
            f"lake {Address(place)}: runs and questions need a folder on a local disk; give one with {flag}"
        )
    try:
        absolute_root(place)
    except LakeNotWritable as error:
        raise UsageError(str(error)) from error
    return str(Path(place).expanduser())


def console() -> Console:
    """Standard output, without wrapping in a pipe."""
    return terminal.console(width=None if sys.stdout.isatty() else PIPE_WIDTH)


def print_text(text: str) -> None:
    """Print one line of a result without markup."""
    console().print(Text(safe(text)))


def counted(number: int, what: str) -> str:
    """`1 fault`, `2 faults`."""
    return f"{number} {what}{'s' * (number != 1)}"


def print_line(markup: str) -> None:
    """Print one line on standard error. Escape foreign text with `quoted`."""
    terminal.console(stderr=True, soft_wrap=True).print(markup)


def report_stage(use: Use, ref: ArtifactRef) -> None:
    """Print the line of an artifact that a run created or reused."""
    colour, seconds = ("green", f"{use.seconds:7.1f} s") if use.how == "created" else ("dim", " " * 9)
    print_line(f"  [{colour}]{use.how:8}[/] {quoted(use.stage):26} [dim]{ref.id[:12]}[/] {seconds}")


def print_json(value: Any) -> None:
    """Print a value as JSON on standard output. NaN and infinities become null."""
    ascii_only = not (sys.stdout.encoding or "utf-8").lower().startswith("utf")
    text = json.dumps(_finite(value), indent=1, ensure_ascii=ascii_only, default=str, allow_nan=False)
    try:
        # Not through a console, which would wrap long lines.
        sys.stdout.write(_escape_controls(text) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has ended, such as `| head`
        console().on_broken_pipe()


def _escape_controls(text: str) -> str:
    """The same JSON with control and invisible characters escaped."""
    lines = (line if line == safe(line) else "".join(map(_escaped, line)) for line in text.split("\n"))
    return "\n".join(lines)


def _escaped(character: str) -> str:
    if character == safe(character):
        return character
    units = character.encode("utf-16-be", "surrogatepass").hex(" ", 2)
    return "".join(f"\\u{unit}" for unit in units.split())


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, Decimal):  # DuckDB's sums of whole numbers
        return int(value) if value == value.to_integral_value() else float(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_table(
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[str] | None = None,
    title: str = "",
    styles: Mapping[str, str] | None = None,
) -> None:
    """Print rows as a table. Control characters are shown, long values cut. `styles` maps texts of cells to styles."""
    names = list(columns or (rows[0] if rows else ()))
    styles = styles or {}
    table = Table(box=None, pad_edge=False, header_style="bold")
    for place, name in enumerate(names):
        # The first column is not wrapped: an id in two lines cannot be copied.
        whole = place == 0 and all(len(show(row.get(name))) <= 40 for row in rows)
        table.add_column(Text(show(name)), overflow="fold", no_wrap=whole)
    for row in rows:
        cells = [show(row.get(name)) for name in names]
        table.add_row(*(Text(cell, style=styles.get(cell, "")) for cell in cells))
    if title:  # printed separately: rich wraps a table's title at the table's width
        console().print(Text(f"\n{show(title)}", style="bold"))
    console().print(table)


def show(value: Any) -> str:
    """The safe text of one cell."""
    if value is None:
        return ""
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return safe(shortened(text, MAX_CELL))
