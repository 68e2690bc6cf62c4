"""editflow scores"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from editflow.flows.cli.common.completers import run_names
from editflow.flows.cli.common.flags import CompletedRun, JsonFlag, LakeFlag
from editflow.flows.cli.common.lookup import find_run, open_lake
from editflow.flows.cli.common.print_summary import NOT_AVAILABLE
from editflow.flows.console.errors import UsageError
from editflow.flows.console.next_steps import print_next, shell_command
from editflow.flows.console.output import print_json, print_table
from editflow.flows.orchestration.prefect_environment import check_working_folder

if TYPE_CHECKING:
    from editflow.storage.artifacts.store import Lake
    from editflow.tasks.report.run_results import RunResults


def scores(
    run: CompletedRun,
    /,
    *,
    against: Annotated[str | None, Parameter(completer=run_names, help="Compare with this run, case by case.")] = None,
    lake: LakeFlag = None,
    json: JsonFlag = False,
) -> None:
    """Show every score of a run before and after, with 95 % intervals; or of two runs on the facts that both edited.

    A score is the mean over cases of each case's mean over its prompts. Intervals come from 2,000 bootstrap resamples
    of the cases. docs/metrics.md defines each score.
    """
    store = open_lake(lake)
    check_working_folder()
    results = _load_results(store, run)
    if against is not None:
        _print_paired(results, _load_results(store, against), f"one: {run}; other: {against}", json=json)
        if not json:
            print_next(f"{shell_command('report', against, lake=lake)} for all results of the other run on one page")
        return
    from editflow.tasks.report.report_tables import before_after, unavailable

    rows = before_after(results)
    if json:
        print_json([to_json(row) for row in rows] + [{"metric": m, "before": None} for m in unavailable(results)])
        return
    table = [{"metric": f"{row['metric']} {row['unit']}".strip(), **format_intervals(row)} for row in rows]
    missing = dict.fromkeys(("before", "after", "change"), NOT_AVAILABLE)
    table += [{"metric": metric, **missing} for metric in unavailable(results)]
    print_table(table, title=f"{len(results.requests)} facts, before and after {results.last} batches")
    print_next(f"{shell_command('scores', run, '--against', 'RUN', lake=lake)} to compare with a run on the same facts")


def _print_paired(one: RunResults, other: RunResults, names: str, *, json: bool) -> None:
    """Print the scores of two runs on the facts that both edited."""
    from editflow.tasks.report.paired_metrics import paired

    rows = paired(one, other)
    if json:
        print_json([to_json(row) for row in rows])
    else:
        print_table([row | format_intervals(row) for row in rows], title=f"{names}; difference: other − one")


def _load_results(store: Lake, name: str) -> RunResults:
    from editflow.tasks.report.run_results import RunResults

    record = find_run(store, name, edited=True)
    if record.status != "completed":
        raise UsageError(f"run {record.run_id} is {record.status} and has no scores: choose a completed one")
    return RunResults.load(store, record.run_id)


def format_intervals(row: Mapping[str, Any]) -> dict[str, str]:
    """The intervals of a row as text; changes and differences have a sign, and a change its unit if that differs."""
    from editflow.editing.metrics.intervals import Interval
    from editflow.tasks.report.report_page import interval

    found = {}
    for key, value in row.items():
        if isinstance(value, Interval):
            unit = row.get("change_unit", "") if key == "change" else ""
            found[key] = f"{interval(value, signed=key in {'change', 'difference'})} {unit}".strip()
    return found


def to_json(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with its intervals as {value, low, high}."""
    return {key: value._asdict() if hasattr(value, "_asdict") else value for key, value in row.items()}
