"""Add the index rows that killed processes did not write, before the next command writes to the lake."""

from __future__ import annotations

from editflow.flows.console.output import print_line
from editflow.storage.artifacts.store import Lake
from editflow.storage.maintenance.unindexed_artifacts import index_missing_rows
from editflow.tasks.console.terminal import quoted


def index_and_report(lake: Lake, *, whole: bool = False) -> None:
    """Add missing index rows and print a line for each run that had crashed; `whole` checks the whole lake."""
    for dead in index_missing_rows(lake, whole=whole):
        print_line(f"  [yellow]run {quoted(dead.run_id)} had died[/]: {quoted(dead.message)}")
