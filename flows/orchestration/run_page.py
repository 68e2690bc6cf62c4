"""Tables and progress on a run's page in Prefect. A failure here does not fail the run: the lake has everything."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from editflow.editing.errors import first_line
from editflow.flows.console.output import print_line
from editflow.tasks.console.terminal import quoted


def on_page(write: Callable[[], None], otherwise: str) -> None:
    """Write artifacts in Prefect, if in a flow run. A failure becomes the warning `otherwise`."""
    from prefect.context import FlowRunContext

    if FlowRunContext.get() is None:
        return
    try:
        write()
    except Exception as error:  # noqa: BLE001 - see above
        print_line(f"[yellow]warning:[/] {otherwise}: {quoted(first_line(error))}")


def table(rows: Sequence[Mapping[str, Any]], key: str, about: str) -> None:
    """Write a table under a key; Prefect keeps the key's history."""
    from prefect.artifacts import create_table_artifact

    def write() -> None:
        create_table_artifact([dict(row) for row in rows], key=key, description=about)

    on_page(write, f"the table could not be written to the run's page in Prefect {key}")


class Progress:
    """A progress bar on a run's page. It is not created if it would start full."""

    def __init__(self, name: str, unit: str) -> None:
        self.key, self.unit = f"{name}-progress", unit
        self._bar: UUID | None = None

    def at(self, done: int, total: int) -> None:
        """Report how many are done."""
        if self._bar is not None or done < total:
            on_page(lambda: self._move(done, total), "the progress could not be written to the run's page in Prefect")

    def _move(self, done: int, total: int) -> None:
        from prefect.artifacts import create_progress_artifact, update_progress_artifact

        percent = 100.0 * max(0, done) / total  # requests may be added during the run
        if self._bar is None:
            made = create_progress_artifact(percent, key=self.key, description=f"of {total} {self.unit}")
            self._bar = made if isinstance(made, UUID) else None
        else:
            update_progress_artifact(self._bar, percent)
