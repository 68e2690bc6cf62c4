"""editflow report"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from editflow.flows.cli.common.flags import LakeFlag, RunName
from editflow.flows.cli.common.lookup import find_run, open_lake
from editflow.flows.console.errors import UsageError
from editflow.flows.console.next_steps import print_next, typed
from editflow.flows.console.output import print_json, print_line
from editflow.flows.console.output_files import named, show_in_browser, target
from editflow.tasks.console.terminal import quoted

if TYPE_CHECKING:
    from editflow.flows.console.output_files import Target
    from editflow.storage.artifacts.store import Lake
    from editflow.storage.records.runs import RunRecord


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
    with target(out, named(record.name, "-report.html"), "report") as file:
        id_ = _written(store, record, file)
    if open_:
        show_in_browser(file.path)
    if json:
        print_json({"run": record.run_id, "artifact": id_, "file": str(file)})
        return
    print_line(f"report of run [bold]{record.run_id}[/] in [bold]{quoted(file)}[/]")
    lineage = typed("lineage", id_[:12], lake=lake)
    print_next(f"open that file in a browser, or send it; {lineage} for what it was made from")


def _written(store: Lake, record: RunRecord, file: Target) -> str:
    """The id of the page, which is made unless the lake has it."""
    from editflow.flows.orchestration.prefect_environment import check_working_folder

    check_working_folder()
    import torch

    from editflow.flows.spec.consent import report_threads
    from editflow.tasks.environment import threads_of
    from editflow.tasks.report.stages import read_page
    from editflow.tasks.report.stages import report as made

    # What both models say may depend on the number of threads, as the state's weights do.
    torch.set_num_threads(used := threads_of(record.environment))
    report_threads(record.environment.get("threads"), used)
    ref = made(store, record.run_id)
    file.write(read_page(store, ref.id).encode())
    return ref.id
