"""Progress of long stages."""

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
def bar(what: str, total: int | None, unit: str) -> Iterator[Callable[..., None]]:
    """A line on standard error with a bar, count, speed and, where the total is known, time left; only on a terminal.

    What it yields takes how much was done since the last call and, where it has become known, the total.
    """
    counts = (DownloadColumn, TransferSpeedColumn) if unit == "bytes" else (MofNCompleteColumn, partial(_Speed, unit))
    columns = (
        TextColumn("  {task.description}", markup=False),
        BarColumn(None, table_column=Column(max_width=28)),  # what gives way where the terminal is narrow
        *(column(table_column=Column(no_wrap=True)) for column in (*counts, partial(_TimeLeft, compact=True))),
    )
    place = console(stderr=True)
    shown = Progress(
        *columns,
        console=place,
        transient=True,
        disable=not is_live(place),
        speed_estimate_period=300,  # seconds; one step of a large model may take longer than rich's half minute
    )
    with shown as progress:
        task = progress.add_task(safe(what), total=total)

        def advance(done: float, total: int | None = total) -> None:
            progress.update(task, advance=done, total=total)

        yield advance


class _Speed(ProgressColumn):
    """The unit of the count and, once it is known, how many of it a second."""

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
def working(what: str) -> Iterator[None]:
    """A spinner on standard error for a step of a few seconds that cannot say how far it is; only on a terminal."""
    place = console(stderr=True)
    with place.status(Text(f"{safe(what)} …")) if is_live(place) else nullcontext():
        yield
