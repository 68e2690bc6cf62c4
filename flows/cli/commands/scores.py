"""editflow scores"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from editflow.flows.cli.common.completers import run_names
from editflow.flows.cli.common.flags import JsonFlag, LakeFlag, RunName
from editflow.flows.cli.common.lookup import find_run, open_lake
from editflow.flows.console.errors import UsageError
from editflow.flows.console.next_steps import print_next, typed
from editflow.flows.console.output import print_json, print_table

if TYPE_CHECKING:
    from editflow.storage.artifacts.store import Lake
    from editflow.tasks.report.run_results import RunResults


def scores(
    run: RunName,
    /,
    *,
    against: Annotated[str | None, Parameter(completer=run_names, help="Another run, case by case.")] = None,
    lake: LakeFlag = None,
    json: JsonFlag = False,
) -> None:
    """Show every score of a run before and after, with 95 % intervals; or of two runs on the facts that both edited.

    Scores are means over cases of each case's mean over its prompts; intervals come from 2,000 bootstrap resamples of
    the cases. docs/metrics.md defines each score.

    Parameters
    ----------
    run
        A run's id or the start of one, the name of a spec (its latest completed run), or `last`.
    """
    store = open_lake(lake)
    from editflow.flows.orchestration.prefect_environment import check_working_folder

    check_working_folder()
    run_results = _results(store, run)
    if against is None:
        from editflow.tasks.report.report_tables import before_after, unavailable

        rows = before_after(run_results)
        if json:
            print_json([plain(row) for row in rows] + [{"metric": m, "before": None} for m in unavailable(run_results)])
            return
        table = [{"metric": f"{row['metric']} {row['unit']}".strip(), **shown(row)} for row in rows]
        lacking = dict.fromkeys(("before", "after", "change"), "not available")
        table += [{"metric": metric, **lacking} for metric in unavailable(run_results)]
        print_table(table, title=f"{len(run_results.requests)} facts, before and after {run_results.last} batches")
        print_next(f"{typed('scores', run, '--against', 'RUN', lake=lake)} for another run on the same facts")
        return
    from editflow.tasks.report.paired_metrics import paired

    pairs = paired(run_results, _results(store, against))
    if json:
        print_json([plain(row) for row in pairs])
        return
    print_table([row | shown(row) for row in pairs], title=f"one: {run}; other: {against}; difference: other − one")
    print_next(f"{typed('report', against, lake=lake)} for all of the other run on one page")


def _results(store: Lake, name: str) -> RunResults:
    from editflow.tasks.report.run_results import RunResults

    record = find_run(store, name, edited=True)
    if record.status != "completed":
        raise UsageError(f"run {record.run_id} is {record.status} and has no scores: choose a completed one")
    return RunResults.of(store, record.run_id)


def shown(row: Mapping[str, object]) -> dict[str, str]:
    """A row's intervals as text; of changes and differences also the sign, and the unit where it is another."""
    from editflow.editing.metrics.intervals import Interval
    from editflow.tasks.report.page import interval

    found = {}
    for key, value in row.items():
        if isinstance(value, Interval):
            unit = row.get("change_unit", "") if key == "change" else ""
            found[key] = f"{interval(value, signed=key in {'change', 'difference'})} {unit}".strip()
    return found


def plain(row: Mapping[str, object]) -> dict[str, object]:
    """A row as JSON has it: intervals with their bounds' names."""
    return {key: value._asdict() if hasattr(value, "_asdict") else value for key, value in row.items()}
