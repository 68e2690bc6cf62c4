"""editflow report"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from flows.commands.read import LakeFlag, RunName, find_run, open_lake
from flows.errors import UsageError
from flows.hints import print_next, typed
from flows.output import print_json, print_line
from tasks.terminal import quoted


def report(
    run: RunName,
    /,
    *,
    out: Annotated[Path | None, Parameter(help="The file to write (default: NAME-report.html in this folder).")] = None,
    open_: Annotated[bool, Parameter(name="--open", negative=(), help="Open it in the browser.")] = False,
    lake: LakeFlag = None,
    json: Annotated[bool, Parameter(negative=(), help="Print id and file as JSON instead of a line.")] = False,
) -> None:
    """Write a run's report: one HTML page with its results, curves, facts, times and lineage, to look at or to send.

    The page is kept in the lake as an artifact of its own; asked for again, it is only written out.

    Parameters
    ----------
    run
        A run's id or the start of one, the name of a spec (its latest completed run), or `last`.
    """
    store = open_lake(lake)
    record = find_run(store, run, edited=True)
    if record.status != "completed":
        raise UsageError(f"run {record.run_id} is {record.status} and has no results to report: choose a completed one")
    # A lake may come from anywhere, and with it a name that leads out of this folder.
    target = out or Path(re.sub(r"[^\w-]+", "-", record.name)[:64] + "-report.html")
    if not target.parent.is_dir():
        raise UsageError(f"no folder {target.parent} to write the report to: make it, or give another --out")
    if target.is_dir():
        raise UsageError(f"--out {target} is a folder: give a file, such as {target / 'report.html'}")
    import torch

    from storage.files import Files
    from tasks.report.stages import read_page
    from tasks.report.stages import report as made

    # What both models say may depend on the number of threads, as the state's weights do.
    if isinstance(threads := record.environment.get("threads"), int):
        torch.set_num_threads(threads)
    ref = made(store, record.run_id)
    try:
        Files(target.parent).put(target.name, read_page(store, ref.id).encode())
    except OSError as error:
        raise UsageError(f"{target} cannot be written ({error.strerror}): give another --out") from None
    if open_:
        import webbrowser

        if not webbrowser.open(target.absolute().as_uri()):
            raise UsageError(f"no browser to open {target} with: copy it to where there is one")
    if json:
        print_json({"run": record.run_id, "artifact": ref.id, "file": str(target)})
        return
    print_line(f"report of run [bold]{record.run_id}[/] in [bold]{quoted(target)}[/]")
    lineage = typed("lineage", ref.id[:12], lake=lake)
    print_next(f"open that file in a browser, or send it; {lineage} for what it was made from")
