"""Progress bars for stages that take more than a moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


@contextmanager
def bar(what: str, total: int | None, unit: str) -> Iterator[Callable[..., None]]:
    """A bar on standard error with count, speed and, where the total is known, time left; only on a terminal.

    What it yields takes how much was done since the last call and, where it has become known, the total.
    """
    columns = (
        TextColumn("  {task.description}"),
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        TextColumn(unit),
        TextColumn("{task.fields[speed]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=total, speed="")

        def advance(done: float, total: int | None = total) -> None:
            progress.update(task, advance=done, total=total)
            speed = progress.tasks[0].speed
            progress.update(task, speed=f"{speed:.3g} {unit}/s" if speed else "")

        yield advance


@contextmanager
def working(what: str) -> Iterator[None]:
    """A spinner on standard error for a step of a few seconds that cannot say how far it is; only on a terminal."""
    console = Console(stderr=True)
    with console.status(f"{what} …") if console.is_terminal else nullcontext():
        yield
