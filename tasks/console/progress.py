"""Progress bars and spinners for long stages, on standard error and only on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial

from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Column
from rich.text import Text

from editflow.tasks.console.terminal import console, is_live, safe


@contextmanager
def bar(label: str, total: int | None, unit: str) -> Iterator[Callable[..., None]]:
    """Show a line with a bar, count, speed and, if the total is known, time left.

    Yields a function that takes the work done since the last call and, once it is known, the total.
    """
    counts = (DownloadColumn, TransferSpeedColumn) if unit == "bytes" else (MofNCompleteColumn, partial(_Speed, unit))
    columns = (
        TextColumn("  {task.description}", markup=False),
        BarColumn(None, table_column=Column(max_width=28)),  # shrinks if the terminal is narrow
        *(column(table_column=Column(no_wrap=True)) for column in (*counts, partial(_TimeLeft, compact=True))),
    )
    output = console(stderr=True)
    display = Progress(
        *columns,
        console=output,
        transient=True,
        disable=not is_live(output),
        speed_estimate_period=300,  # seconds; one step of a large model may take longer than rich's half minute
    )
    with display as progress:
        task = progress.add_task(safe(label), total=total)

        def advance(done: float, total: int | None = total) -> None:
            progress.update(task, advance=done, total=total)

        yield advance


class _Speed(ProgressColumn):
    """The unit and, once known, the speed in units per second."""

    def __init__(self, unit: str, table_column: Column | None = None) -> None:
        self.unit = unit
        super().__init__(table_column)

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        digits = 0 if speed and speed >= 100 else 1 if speed and speed >= 10 else 2
        return Text(f"{self.unit}, {speed:,.{digits}f} {self.unit}/s" if speed else self.unit)


class _TimeLeft(TimeRemainingColumn):
    """The time left, labelled."""

    def render(self, task: Task) -> Text:
        left = super().render(task)
        return left.append(" left") if left.plain else left


@contextmanager
def working(label: str) -> Iterator[None]:
    """Show a spinner for a step of a few seconds that has no measurable progress."""
    output = console(stderr=True)
    with output.status(Text(f"{safe(label)} …")) if is_live(output) else nullcontext():
        yield
