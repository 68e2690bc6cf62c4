"""editflow run"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Annotated, Any

from cyclopts import Parameter

from editflow.flows.cli.common.completers import folders
from editflow.flows.cli.common.flags import SetFlag
from editflow.flows.cli.common.flow_start import start_flow
from editflow.flows.cli.common.run_summary import NOT_AVAILABLE, _lacking, print_summary
from editflow.flows.console.next_steps import print_next, question, typed
from editflow.flows.console.output import print_json, print_line, print_table
from editflow.flows.pipeline.summary_rows import before_after


def run(
    spec: Path,
    /,
    *,
    set_: SetFlag = None,
    lake: Annotated[str | None, Parameter(env_var="EDITFLOW_LAKE", completer=folders)] = None,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Run a spec: everything that the lake already has is reused, everything else computed and kept.

    Parameters
    ----------
    spec
        A TOML file such as specs/demo.toml.
    set_
        Override a key of the spec, such as --set edit.batch_size=50; may be repeated.
    lake
        Where artifacts are kept (default: ./lake).
    json
        Print the run's record as JSON instead of tables.
    """
    from editflow.flows.spec.loading import load_spec

    loaded, store = start_flow(load_spec, spec, set_ or (), lake)
    from editflow.flows.edit_model import edit_model

    found = edit_model(loaded, list(set_ or ()), store.uri)
    if json:
        print_json(found)
        return
    if "runs" in found:
        _print_seeds(found["runs"])
        record = found["runs"][-1]
    else:
        record = found
        print_summary(record)
    run_id = record["run_id"]
    ask = typed("ask", run_id, question(store, record["state"]), lake=lake)
    shown = typed("show", run_id, lake=lake)
    print_line(f"\nrun [bold]{run_id}[/] is completed")
    page = typed("report", run_id, lake=lake)
    print_next(f"{ask} to hear both models, {page} for all of it on one page, {shown} for the run's artifacts")


def _print_seeds(records: Sequence[Mapping[str, Any]]) -> None:
    """What several seeds gave: mean and standard deviation over runs, and the runs themselves."""
    tables = [before_after(record["summary"]) for record in records]
    rows = []
    for row in tables[0]:
        same = [one for table in tables for one in table if one["metric"] == row["metric"]]
        after = [one["after"] for one in same if one["after"] is not None]
        if after:
            rows.append({
                "metric": row["metric"], "before": fmean(one["before"] for one in same), "after": fmean(after),
                "sd of runs": stdev(after) if len(after) > 1 else None, "least": min(after), "most": max(after),
            })  # fmt: skip
    rows += [{"metric": metric, "before": NOT_AVAILABLE, "after": NOT_AVAILABLE} for metric in _lacking(records[0])]
    print_table(rows, title=f"{len(records)} seeds, means over runs")
    print_table([{"run": r["run_id"], "name": r["name"], "state": r["state"][:12]} for r in records])
