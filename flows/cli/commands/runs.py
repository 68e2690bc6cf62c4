"""editflow runs, show. They import neither torch nor Prefect."""

from __future__ import annotations

from itertools import islice

from editflow.flows.cli.common.flags import JsonFlag, LakeFlag, Limit, RunName
from editflow.flows.cli.common.lookup import find_run, open_lake
from editflow.flows.console.next_steps import first_run, is_file, print_next, question, typed
from editflow.flows.console.output import print_json, print_line, print_table, print_text
from editflow.tasks.console.terminal import shortened


def runs(*, limit: Limit = 100, lake: LakeFlag = None, json: JsonFlag = False) -> None:
    """List the runs of a lake, newest first."""
    from editflow.storage.records.runs import Runs

    records = list(islice(Runs(open_lake(lake).files).newest(), limit or None))
    whole = [r for r in records if r.status != "damaged"]
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
    if whole:
        print_next(f"{typed('show', whole[0].run_id, lake=lake)} for the newest run's results and artifacts")
    else:
        print_next(f"{typed('doctor', lake=lake)} for what to do about damaged runs" if rows else first_run(lake))


def show(run: RunName, /, *, lake: LakeFlag = None, json: JsonFlag = False) -> None:
    """Show one run: how it ended, its results, and every artifact it created or reused.

    Parameters
    ----------
    run
        A run's id or the start of one, the name of a spec (its latest run), or `last`.
    """
    from dataclasses import asdict

    store = open_lake(lake)
    record = find_run(store, run)
    if json:
        print_json(asdict(record))
        return
    print_text(f"run {record.run_id} ({record.name}): {record.status} {shortened(record.message)}")
    print_text(f"started {record.started_at}, finished {record.finished_at or '—'}, final state {record.state or '—'}")
    if "settled" in record.summary:
        from editflow.flows.cli.common.run_summary import print_settled

        print_settled(record.summary)
    elif "before" in record.summary:
        from editflow.flows.cli.common.run_summary import print_summary

        print_summary(asdict(record))
    print_table([asdict(use) | {"artifact": use.artifact[:12]} for use in record.uses], title="artifacts")
    if record.state is not None:
        ask = typed("ask", record.run_id, question(store, record.state), lake=lake)
        made = typed("lineage", record.state[:12], lake=lake)
        print_next(f"{ask} to hear both models, {made} for what the edited one was made from")
    elif record.spec_path and is_file(record.spec_path):
        print_next(f"{typed('run', record.spec_path, lake=lake)} to run it again: what it finished is reused")
    else:
        print_next(f"{typed('runs', lake=lake)} for the other runs")
