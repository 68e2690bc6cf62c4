"""Index rows that killed processes did not write; the next command that writes to the lake adds them."""

from __future__ import annotations

from editflow.flows.console.output import print_line
from editflow.storage.artifacts.store import Lake
from editflow.storage.maintenance.unindexed_artifacts import index_missing_rows
from editflow.tasks.console.terminal import quoted


def index_and_report(lake: Lake, *, whole: bool = False) -> None:
    """`pay`, with a line on each run that had died."""
    for dead in index_missing_rows(lake, whole=whole):
        print_line(f"  [yellow]run {quoted(dead.run_id)} had died[/]: {quoted(dead.message)}")
