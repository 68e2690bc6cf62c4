"""editflow run"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING

from editflow.flows.cli.common.flags import JsonFlag, LakeFlag, SetFlag
from editflow.flows.cli.common.flow_start import start_flow
from editflow.flows.cli.common.print_summary import NOT_AVAILABLE, missing_metrics, print_summary
from editflow.flows.console.next_steps import print_next, question, shell_command
from editflow.flows.console.output import print_json, print_line, print_table
from editflow.flows.pipeline.summary_rows import before_after

if TYPE_CHECKING:
    from editflow.storage.records.runs import RunRecord


def run(spec: Path, /, *, set_: SetFlag = None, lake: LakeFlag = None, json: JsonFlag = False) -> None:
    """Run a spec: reuse every artifact that the lake already has, and compute and keep the others.

    Parameters
    ----------
    spec
        A TOML file such as specs/demo.toml.
    """
    loaded, store = start_flow(spec, set_ or (), lake, "file")
    from editflow.flows.edit_model import edit_model
    from editflow.storage.records.runs import Runs

    found = edit_model(loaded, list(set_ or ()), store.uri)
    if json:
        print_json(found)
        return
    records = [Runs(store.files).get(each["run_id"]) for each in found.get("runs", [found])]
    record = records[-1]
    if "runs" in found:
        _print_seeds(records)
    else:
        print_summary(record)
    ask = shell_command("ask", record.run_id, question(store, record.state or ""), lake=lake)
    show = shell_command("show", record.run_id, lake=lake)
    page = shell_command("report", record.run_id, lake=lake)
    print_line(f"\nrun [bold]{record.run_id}[/] is completed")
    print_next(f"{ask} to ask both models, {page} for all results on one page, {show} for the run's artifacts")


def _print_seeds(records: Sequence[RunRecord]) -> None:
    """Print mean and standard deviation of each score over the runs of several seeds, and a list of the runs."""
    tables = [before_after(record.summary) for record in records]
    rows = []
    for row in tables[0]:
        same_metric = [each for table in tables for each in table if each["metric"] == row["metric"]]
        after = [each["after"] for each in same_metric if each["after"] is not None]
        if after:
            rows.append({
                "metric": row["metric"], "before": fmean(each["before"] for each in same_metric), "after": fmean(after),
                "sd of runs": stdev(after) if len(after) > 1 else None, "least": min(after), "most": max(after),
            })  # fmt: skip
    rows += [{"metric": m, "before": NOT_AVAILABLE, "after": NOT_AVAILABLE} for m in missing_metrics(records[0])]
    print_table(rows, title=f"{len(records)} seeds, means over runs")
    print_table([{"run": r.run_id, "name": r.name, "state": (r.state or "")[:12]} for r in records])
