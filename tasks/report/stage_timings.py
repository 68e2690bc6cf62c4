"""The time of each stage of a run, and the nodes of its lineage graph."""

from __future__ import annotations

from editflow.tasks.report.graph_layout import Node, lay_out
from editflow.tasks.report.run_results import RunResults
from editflow.tasks.report.table_rows import StageTime


def stages(run: RunResults) -> list[StageTime]:
    """One row per stage, the longest time first."""
    rows: dict[str, StageTime] = {}
    for use in run.record.uses:
        manifest = run.manifests[use.artifact]
        name = str(manifest.spec.get("stage", manifest.kind))
        row = rows.setdefault(name, {"stage": name, "created": 0, "reused": 0, "seconds": 0.0, "saved": 0.0})
        row[use.how] += 1
        row["seconds"] += use.seconds
        row["saved"] += (manifest.seconds or 0.0) if use.how == "reused" else 0.0
    return sorted(rows.values(), key=lambda row: -row["seconds"] - row["saved"])


def nodes(run: RunResults) -> list[Node]:
    """One node per artifact of the run, labelled with its stage."""
    uses = run.record.uses
    return lay_out(run.manifests, {use.artifact: use.stage for use in uses}, {use.artifact: use.how for use in uses})
