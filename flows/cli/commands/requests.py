"""editflow requests check"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from editflow.flows.cli.common.completers import folders
from editflow.flows.cli.common.flags import JsonFlag
from editflow.flows.console.next_steps import print_next
from editflow.flows.console.output import counted, print_json, print_line, print_table
from editflow.storage.address import Address
from editflow.tasks.console.terminal import quoted

if TYPE_CHECKING:
    from editflow.editing.requests.validation import Findings

MAX_ROWS = 40
"""Faults and relations that are shown; --json prints all."""

requests = App(name="requests", help="Check a file of facts before you edit them.")


@requests.command
def check(
    source: Annotated[str, Parameter(completer=folders)],
    /,
    *,
    dataset: Annotated[str | None, Parameter(help="The format of the records, if it cannot be detected.")] = None,
    json: JsonFlag = False,
) -> None:
    """Read a file of facts and print every fault with its place. The exit code is 2 if there is a fault.

    Duplicates and contradictions are faults. Not faults, but counted: neighbours that the file also edits, which are
    left out of specificity; questions without an answer, which are not asked; and fields that are not used.

    Parameters
    ----------
    source
        A .jsonl, .json, .csv or .parquet file, a URL, or hub:NAME[:CONFIG[:SPLIT]][@REVISION]. docs/requests.md
        describes the formats.
    """
    from editflow.editing.requests.validation import find_faults
    from editflow.tasks.console.progress import bar
    from editflow.tasks.errors import BadRecord
    from editflow.tasks.sources.records import read_records

    source = Address(source)

    def read() -> Iterator[tuple[str, Any]]:
        with bar(source, None, "records") as advance:
            for located in read_records(source):
                yield located
                advance(1)

    found = find_faults(read, dataset)
    if not found.facts and not found.faults:
        raise BadRecord(f"{source} holds no requests; give at least one record")
    counts = found.counts()
    if json:
        print_json({
            "source": source, "dataset": found.dataset, "facts": found.facts, "relations": counts,
            "faults": found.faults, "unanswered": found.unanswered, "unread": found.unread,
        })  # fmt: skip
    else:
        if counts:
            print_table(counts[:MAX_ROWS], title=f"{counted(found.facts, 'valid fact')}, read as {found.dataset}")
        for note in notes(found, len(counts)):
            print_line(f"[yellow]note:[/] {quoted(note)}")
        for fault in found.faults[:MAX_ROWS]:
            print_line(f"[bold red]fault:[/] {quoted(fault)}")
    if found.faults:
        hidden = len(found.faults) - MAX_ROWS
        more = f", {hidden} of them not shown: --json has all" if hidden > 0 else ""
        faults = counted(len(found.faults), "fault")
        print_line(f"[bold red]error:[/] {quoted(source)} has {faults}{more}; a run would refuse it")
        sys.exit(2)
    if not json:
        setting = f" and requests.dataset = {dataset!r}" if dataset else ""
        print_next(f"edit them with requests.source = {source!r}{setting} in a spec, such as specs/demo.toml")


def notes(found: Findings, relations: int) -> Iterator[str]:
    """Lines about data that is not used or not shown, although it is not a fault."""
    if relations > MAX_ROWS:
        yield f"{relations - MAX_ROWS} more relations: --json has all"
    if found.unanswered:
        yield f"{counted(found.unanswered, 'question')} without an answer, not asked"
    if found.unread:
        fields = ", ".join(f"{name} ({times})" for name, times in found.unread.most_common(MAX_ROWS))
        yield f"fields that {found.dataset} does not read, with the number of records that have them: {fields}"
