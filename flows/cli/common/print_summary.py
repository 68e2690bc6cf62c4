"""Print the results of a run, for its command and for `editflow show`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from editflow.flows.console.output import counted, print_line, print_table
from editflow.flows.pipeline.summary_rows import before_after, final_rows
from editflow.tasks.console.terminal import quoted
from editflow.tasks.report.requested_metrics import requested_metrics

if TYPE_CHECKING:
    from editflow.storage.records.runs import RunRecord

NOT_AVAILABLE = "not available"


def print_summary(record: RunRecord) -> None:
    """Print a table of scores before and after, including unavailable metrics, and one of each batch's own facts."""
    summary = record.summary
    rows: list[Mapping[str, object]] = [*before_after(summary)]
    rows += [{"metric": name, "before": NOT_AVAILABLE, "after": NOT_AVAILABLE} for name in missing_metrics(record)]
    facts, batches = counted(summary["facts"], "fact"), summary["batches"]
    if "release" in summary:  # of `editflow evaluate`, which edits nothing
        print_table(rows, title=f"{facts} in release {summary['queue']}: {summary['release']}")
        return
    many = "batch" if len(batches) == 1 else "batches"
    print_table(rows, title=f"{facts} in {len(batches)} {many}, all of them after the last")
    batch_rows = [
        {
            "batch": batch["batch"],
            "facts": batch["facts"],
            "edited so far": batch.get("edited"),
            **{f"{m} {c} %": scores[c] for m, scores in batch.get("metrics", {}).items() for c in final_rows(scores)},
            "state": batch["state"][:12],
        }
        for batch in batches
    ]
    print_table(batch_rows, title="each batch's own facts, right after it")


def missing_metrics(record: RunRecord) -> list[str]:
    """The metrics that the spec asks for and the facts do not support."""
    before = record.summary["before"]
    drift = {"drift" for use in record.uses if use.stage.startswith("drift")}
    measured = {*before, *before.get("texts", {}), *drift}
    return [metric for metric in requested_metrics(record.spec) if metric not in measured]


def print_decisions(record: RunRecord) -> None:
    """Print which requests of a queue a run released or rejected, and the resulting release."""
    from editflow.flows.pipeline.gates import decision_rows
    from editflow.tasks.releases.queue import ReleaseEvent

    summary = record.summary
    events = [
        (event["release"], ReleaseEvent(**{key: event[key] for key in event if key != "release"}))
        for event in summary["settled"]
    ]
    rows = decision_rows(events)
    waiting = f"{summary['pending']} still waiting"
    if rows:
        columns = list(dict.fromkeys(name for row in rows for name in row if name != "reason"))
        print_table(rows, [*columns, "reason"], title=f"release {summary['queue']}: {summary['release']}, {waiting}")
    else:
        print_line(
            f"queue {quoted(summary['queue'])} has no waiting requests: release {summary['release']} is unchanged"
        )
