"""editflow runs and editflow show. They import neither torch nor Prefect."""

from __future__ import annotations

from itertools import islice
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from editflow.flows.cli.common.flags import AnyRun, JsonFlag, LakeFlag
from editflow.flows.cli.common.lookup import find_run, open_lake
from editflow.flows.console.next_steps import first_run, is_file, print_next, question, shell_command
from editflow.flows.console.output import print_json, print_line, print_table, print_text
from editflow.tasks.console.terminal import shortened

Limit = Annotated[int, Parameter(help="Maximum number of runs, newest first; 0 lists all.", validator=Number(gte=0))]


def runs(*, limit: Limit = 100, lake: LakeFlag = None, json: JsonFlag = False) -> None:
    """List the runs of a lake, newest first."""
    from editflow.storage.records.runs import Runs

    records = list(islice(Runs(open_lake(lake).files).newest(), limit or None))
    readable = [r for r in records if r.status != "damaged"]
    rows = [
        {
            "run": r.run_id,
            "name": r.name,
            "status": r.status,
            "started": r.started_at[:19].replace("T", " "),
            "created": sum(use.how == "created" for use in r.uses),
            "reused": sum(use.how == "reused" for use in r.uses),
            "facts": r.summary.get("facts"),
            "message": r.message,
        }
        for r in records
    ]
    if json:
        print_json(rows)
        return
    if rows:
        print_table(rows)
    else:
        print_line("no runs yet")
    if readable:
        print_next(f"{shell_command('show', readable[0].run_id, lake=lake)} for the newest run's results and artifacts")
    else:
        print_next(f"{shell_command('doctor', lake=lake)} to repair damaged runs" if rows else first_run(lake))


def show(run: AnyRun, /, *, lake: LakeFlag = None, json: JsonFlag = False) -> None:
    """Show one run: how it ended, its results, and every artifact it created or reused."""
    from dataclasses import asdict

    from editflow.flows.cli.common.print_summary import print_decisions, print_summary

    store = open_lake(lake)
    record = find_run(store, run)
    if json:
        print_json(asdict(record))
        return
    print_text(f"run {record.run_id} ({record.name}): {record.status} {shortened(record.message)}")
    print_text(f"started {record.started_at}, finished {record.finished_at or '—'}, final state {record.state or '—'}")
    if "settled" in record.summary:
        print_decisions(record)
    elif "before" in record.summary:
        print_summary(record)
    print_table([asdict(use) | {"artifact": use.artifact[:12]} for use in record.uses], title="artifacts")
    if record.state is not None:
        ask = shell_command("ask", record.run_id, question(store, record.state), lake=lake)
        lineage = shell_command("lineage", record.state[:12], lake=lake)
        print_next(f"{ask} to ask both models, {lineage} for the artifacts the edited model was made from")
    elif record.spec_path and is_file(record.spec_path):
        print_next(
            f"{shell_command('run', record.spec_path, lake=lake)} to run it again: finished artifacts are reused"
        )
    else:
        print_next(f"{shell_command('runs', lake=lake)} for the other runs")
