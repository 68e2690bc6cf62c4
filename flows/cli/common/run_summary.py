"""The results of a run, as its command and `editflow show` print them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from editflow.flows.console.output import print_line, print_table
from editflow.flows.pipeline.summary_rows import before_after, final_rows
from editflow.tasks.console.terminal import quoted
from editflow.tasks.report.requested_metrics import asked

NOT_AVAILABLE = "not available"


def print_summary(record: Mapping[str, Any]) -> None:
    """Before and after, with what the spec asks for and the facts do not have; then each batch right after it."""
    summary = record["summary"]
    rows: list[Mapping[str, Any]] = [*before_after(summary)]
    rows += [{"metric": metric, "before": NOT_AVAILABLE, "after": NOT_AVAILABLE} for metric in _lacking(record)]
    facts, many = summary["facts"], len(summary["batches"])
    counted = f"{facts} {'fact' if facts == 1 else 'facts'}"
    if "release" in summary:  # an evaluation of what others edited
        print_table(rows, title=f"{counted} in release {summary['queue']}: {summary['release']}")
        return
    print_table(rows, title=f"{counted} in {many} {'batch' if many == 1 else 'batches'}, all of them after the last")
    batches = [
        {
            "batch": batch["batch"],
            "facts": batch["facts"],
            "edited so far": batch.get("edited"),
            **{f"{m} {c} %": scores[c] for m, scores in batch.get("metrics", {}).items() for c in final_rows(scores)},
            "state": batch["state"][:12],
        }
        for batch in summary["batches"]
    ]
    print_table(batches, title="each batch's own facts, right after it")


def _lacking(record: Mapping[str, Any]) -> list[str]:
    """The metrics that the spec asks for and the facts do not have."""
    before = record["summary"]["before"]
    drift = {"drift" for use in record["uses"] if use["stage"].startswith("drift")}
    measured = {*before, *before.get("texts", {}), *drift}
    return [metric for metric in asked(record["spec"]) if metric not in measured]


def print_settled(summary: Mapping[str, Any]) -> None:
    """What a run of a queue settled, and what the release is then."""
    from editflow.flows.pipeline.gates import decision_rows
    from editflow.tasks.releases.queue import ReleaseEvent

    moves = [
        (move["release"], ReleaseEvent(**{key: move[key] for key in move if key != "release"}))
        for move in summary["settled"]
    ]
    rows = decision_rows(moves)
    waiting = f"{summary['pending']} still waiting"
    if rows:
        columns = list(dict.fromkeys(name for row in rows for name in row if name != "reason"))
        print_table(rows, [*columns, "reason"], title=f"release {summary['queue']}: {summary['release']}, {waiting}")
    else:
        print_line(f"nothing waits in queue {quoted(summary['queue'])}: the release is {summary['release']}, as before")
