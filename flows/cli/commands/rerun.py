"""editflow rerun"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from editflow.flows.cli.common.flags import JsonFlag, LakeFlag, RunName
from editflow.flows.cli.common.lookup import find_run, open_lake
from editflow.flows.console.errors import UsageError
from editflow.flows.console.next_steps import print_next, shell_command
from editflow.flows.console.output import lake_folder, print_json, print_line, print_table
from editflow.flows.console.output_files import new_folder
from editflow.storage.address import Address
from editflow.tasks.console.terminal import quoted

if TYPE_CHECKING:
    from editflow.flows.reproduction.recorded_runs import BundledRun, LakeRun, RerunOptions
    from editflow.tasks.reproduction.reproduction import Repetition

MAX_ROWS = 20


def rerun(
    run: RunName,
    /,
    *,
    into: Annotated[str | None, Parameter(help="The fresh lake (default: a temporary one).")] = None,
    threads: Annotated[int | None, Parameter(help="Number of threads (default: as recorded).",
                                             validator=Number(gte=1))] = None,
    model: Annotated[str | None, Parameter(help="For a bundle: the place of its model on this machine.")] = None,
    corpus: Annotated[str | None, Parameter(help="For a bundle: the place of its corpus on this machine.")] = None,
    download: Annotated[bool, Parameter(negative=(), help="Download what the record names on other hosts.")] = False,
    lake: LakeFlag = None,
    json: JsonFlag = False,
) -> None:  # fmt: skip
    """Repeat a run from its record in a fresh lake, and compare every artifact with the recorded one.

    The exit code is 0 if every artifact has the same content. If not, it is 1, and the differences in numbers,
    versions, machine and threads are printed. The result is stored in the lake, as a child of the run's state.

    A bundle of `editflow export-run` needs neither the run's lake nor its files: artifacts are compared with the
    digests in the bundle. If --lake does not exist yet, it becomes the fresh lake. Data on the hub or on other hosts is
    downloaded only with --download, or after a question on a terminal. Run again after a kill, the command resumes.

    Parameters
    ----------
    run
        A run's id or the start of one, the name of a spec (its latest completed run), `last`, or a bundle.
    """
    from editflow.flows.reproduction.recorded_runs import BundledRun, LakeRun, RerunOptions
    from editflow.tasks.reproduction.run_bundle import read_bundle

    model, corpus = (Address(given) if given else None for given in (model, corpus))
    options = RerunOptions(threads, model, corpus, download)
    place = None if into is None else _check_fresh(into, "--into")
    source: BundledRun | LakeRun
    if "." in run or "/" in run:
        place = place or _lake_if_fresh(lake)
        source = BundledRun(read_bundle(Path(run)))
        hint = f"{shell_command('runs', lake=place)} for the repetition"
        if place is None:
            hint = f"{shell_command('rerun', run, '--into', 'again')} to keep its artifacts"
    else:
        if model or corpus:
            raise UsageError(f"{'--model' if model else '--corpus'} is for a bundle: run {run} has recorded both")
        store = open_lake(lake)
        source = LakeRun(store, find_run(store, run, edited=True))
        hint = f"{shell_command('show', source.record.run_id, lake=lake)} for the recorded run"
    found = _repeat(source, run, place, options)
    _print_outcome(found, hint, json=json)
    if not found.same:
        sys.exit(1)


def _repeat(source: BundledRun | LakeRun, file: str, into: str | None, options: RerunOptions) -> Repetition:
    """Ask for consent, start Prefect, and run the flow."""
    from editflow.flows.orchestration import temporary_server
    from editflow.flows.reproduction.recorded_runs import LakeRun
    from editflow.flows.spec.consent import ask_agreement, require_agreement

    wanted = source.downloads(options)
    allowed = options.download or ask_agreement(wanted)
    require_agreement(wanted, allowed, packed=not isinstance(source, LakeRun))
    temporary_server.ready()
    from editflow.flows.rerun import rerun, rerun_bundle

    if isinstance(source, LakeRun):
        return rerun(source.record.run_id, source.artifacts.uri, into, options.threads, allowed)
    return rerun_bundle(file, into, options.threads, options.model, options.corpus, allowed)


def _check_fresh(given: str, flag: str) -> str:
    """The folder of the fresh lake. Raises UsageError, before any work, if it is in use."""
    from editflow.flows.pipeline.fresh_lake import check_unused

    folder = new_folder(Path(lake_folder(given, flag)), flag)
    check_unused(folder)
    return str(folder)


def _lake_if_fresh(lake: str | None) -> str | None:
    """The folder of --lake if it can become the fresh lake; None if it is a lake already."""
    from editflow.flows.pipeline.fresh_lake import is_another_lake

    if lake is None or is_another_lake(Path(lake_folder(lake))):
        return None
    return _check_fresh(lake, "--lake")


def _print_outcome(found: Repetition, hint: str, *, json: bool) -> None:
    from editflow.flows.rerun import summary

    if json:
        print_json({"run": found.run, "same": found.same, "rows": found.rows, "explains": found.explains})
        return
    columns = ["stage", "artifact", "largest", "relative", "note"]
    rows = [row | {"artifact": row["artifact"][:12]} for row in found.rows if not row["same"]]
    if rows:
        count = f", the first {MAX_ROWS} of {len(rows)}" if len(rows) > MAX_ROWS else ""
        print_table(rows[:MAX_ROWS], columns, title=f"different artifacts{count}")
    if rows and found.explains:
        print_table(found.explains, title="differences of the environment: one is recorded, other is this machine")
    print_line(quoted(summary(found)))
    print_next(hint)
