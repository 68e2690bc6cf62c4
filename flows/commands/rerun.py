"""editflow rerun"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from flows.commands.read import JsonFlag, LakeFlag, RunName, find_run, open_lake
from flows.hints import print_next, typed
from flows.output import print_json, print_line, print_table
from tasks.terminal import quoted

MOST = 20


def rerun(
    run: RunName,
    /,
    *,
    into: Annotated[Path | None, Parameter(help="The fresh lake; a temporary one unless given.")] = None,
    threads: Annotated[int | None, Parameter(help="As many as the run had unless given.",
                                             validator=Number(gte=1))] = None,
    lake: LakeFlag = None,
    json: JsonFlag = False,
) -> None:  # fmt: skip
    """Repeat a run from its record in a fresh lake, and hold every artifact against the one that came then.

    Exit code 0 where all have the same content, 1 where not: then the distance of the numbers is told, and what
    differs in versions, machine and threads. The outcome is kept in the lake, as a child of the run's state.

    Parameters
    ----------
    run
        A run's id or the start of one, the name of a spec (its latest completed run), or `last`.
    """
    from flows import server

    store = open_lake(lake)
    record = find_run(store, run, edited=True)
    server.prepare()
    server.reap()
    from flows.rerun import spec_of

    spec_of(record)  # what cannot be repeated is told before a server is waited for
    server.start()
    from flows.rerun import rerun as repeat
    from flows.rerun import summary

    found = repeat(record.run_id, store.uri, str(into) if into else None, threads)
    other = [row for row in found.rows if not row["same"]]
    if json:
        print_json({"run": found.run, "same": found.same, "rows": found.rows, "explains": found.explains})
    else:
        columns = ["stage", "artifact", "largest", "relative", "note"]
        rows = [row | {"artifact": row["artifact"][:12]} for row in other]
        if rows:
            more = f", the first {MOST} of {len(rows)}" if len(rows) > MOST else ""
            print_table(rows[:MOST], columns, title=f"came out otherwise{more}")
        if rows and found.explains:
            print_table(found.explains, title="what differs since then: one was then, other is now")
        print_line(quoted(summary(found)))
        print_next(f"{typed('show', record.run_id, lake=lake)} for the run that was repeated")
    if other:
        sys.exit(1)
