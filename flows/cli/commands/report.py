"""editflow report"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from editflow.flows.cli.common.flags import CompletedRun, JsonFlag, LakeFlag, OpenFlag
from editflow.flows.cli.common.lookup import find_run, open_lake
from editflow.flows.console.errors import UsageError
from editflow.flows.console.next_steps import print_next, shell_command
from editflow.flows.console.output import print_json, print_line
from editflow.flows.console.output_files import named, show_in_browser, target
from editflow.flows.orchestration.prefect_environment import check_working_folder
from editflow.tasks.console.terminal import quoted

if TYPE_CHECKING:
    from editflow.flows.console.output_files import Target
    from editflow.storage.artifacts.store import Lake
    from editflow.storage.records.runs import RunRecord


def report(
    run: CompletedRun,
    /,
    *,
    out: Annotated[Path | None, Parameter(help="The file to write (default: ./NAME-report.html).")] = None,
    open_: OpenFlag = False,
    lake: LakeFlag = None,
    json: JsonFlag = False,
) -> None:
    """Write the report of a run: one HTML page with its results, curves, facts, times and lineage.

    The page is an artifact of the lake. If it already exists, it is only written out.
    """
    store = open_lake(lake)
    record = find_run(store, run, edited=True)
    if record.status != "completed":
        raise UsageError(f"run {record.run_id} is {record.status} and has no results to report: choose a completed one")
    with target(out, named(record.name, "-report.html"), "report") as file:
        id_ = _write_page(store, record, file)
    if open_:
        show_in_browser(file.path)
    if json:
        print_json({"run": record.run_id, "artifact": id_, "file": str(file)})
        return
    print_line(f"report of run [bold]{record.run_id}[/] in [bold]{quoted(file)}[/]")
    lineage = shell_command("lineage", id_[:12], lake=lake)
    print_next(f"open that file in a browser, or send it; {lineage} for the artifacts it was made from")


def _write_page(store: Lake, record: RunRecord, file: Target) -> str:
    """Write the page to a file and return its artifact id; create the page if the lake does not have it."""
    check_working_folder()
    import torch

    from editflow.flows.spec.consent import report_threads
    from editflow.tasks.environment import threads_of
    from editflow.tasks.report.report_stage import read_page
    from editflow.tasks.report.report_stage import report as report_stage

    # The models' answers may depend on the number of threads, as the state's weights do.
    torch.set_num_threads(threads := threads_of(record.environment))
    report_threads(record.environment.get("threads"), threads)
    ref = report_stage(store, record.run_id)
    file.write(read_page(store, ref.id).encode())
    return ref.id
