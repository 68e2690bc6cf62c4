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

MOST = 40
"""Faults and relations that are shown; --json has all of them."""

requests = App(name="requests", help="Look at a file of facts before it is edited.")


@requests.command
def check(
    source: Annotated[str, Parameter(completer=folders)],
    /,
    *,
    dataset: Annotated[str | None, Parameter(help="The shape of the records, where they do not tell it.")] = None,
    json: JsonFlag = False,
) -> None:
    """Read a file of facts and say everything that is wrong with it, with the place; exit code 2 if anything is.

    Duplicates and contradictions are faults. Neighbours that the file edits as well are none: they are counted, and
    left out of specificity. So are questions without an answer, which are not asked, and fields that nothing reads.

    Parameters
    ----------
    source
        A .jsonl, .json, .csv or .parquet file, a URL, or hub:NAME[:CONFIG[:SPLIT]][@REVISION]; docs/requests.md has
        the shapes.
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
        summary = {"dataset": found.dataset, "facts": found.facts, "relations": counts, "faults": found.faults}
        print_json({"source": source, **summary, "unanswered": found.unanswered, "unread": found.unread})
    else:
        if counts:
            print_table(counts[:MOST], title=f"{counted(found.facts, 'sound fact')}, read as {found.dataset}")
        for note in notes(found, len(counts)):
            print_line(f"[yellow]note:[/] {quoted(note)}")
        for fault in found.faults[:MOST]:
            print_line(f"[bold red]fault:[/] {quoted(fault)}")
    if found.faults:
        more = f", {len(found.faults) - MOST} of them not shown: --json has all" if len(found.faults) > MOST else ""
        faults = counted(len(found.faults), "fault")
        print_line(f"[bold red]error:[/] {quoted(source)} has {faults}{more}; a run would refuse it")
        sys.exit(2)
    if not json:
        named = f" and requests.dataset = {dataset!r}" if dataset else ""
        print_next(f"edit them with requests.source = {source!r}{named} in a spec, such as specs/demo.toml")


def notes(found: Findings, relations: int) -> Iterator[str]:
    """What is no fault and yet is not used or not shown."""
    if relations > MOST:
        yield f"{relations - MOST} more relations: --json has all"
    if found.unanswered:
        yield f"{counted(found.unanswered, 'question')} without an answer, not asked"
    if found.unread:
        fields = ", ".join(f"{name} ({times})" for name, times in found.unread.most_common(MOST))
        yield f"fields that {found.dataset} does not read, with the records that have them: {fields}"
