"""Where a run's time went, and what was made from what."""

from __future__ import annotations

from collections.abc import Iterator
from graphlib import TopologicalSorter
from typing import Any

from storage.runs import Use
from tasks.report.course import Course

LANES = (
    "model", "documents", "tokens", "second_moment", "spectrum", "null_space", "contexts", "requests",
    "target_values", "weight_change", "keys", "state", "evaluation", "perplexity", "questions", "generations",
    "text_scores", "hidden_states", "drift", "drift_points", "ability_cases", "ability",
)  # fmt: skip
"""From what is given to what is measured: the graph's lanes, from top to bottom. Other kinds come last."""


def stages(course: Course) -> list[dict[str, Any]]:
    """One row per stage: artifacts made and met again, seconds of this run, and of the making of what was reused."""
    rows: dict[str, dict[str, Any]] = {}
    for use in course.record.uses:
        manifest = course.manifests[use.artifact]
        name = str(manifest.spec.get("stage", manifest.kind))
        row = rows.setdefault(name, {"stage": name, "created": 0, "reused": 0, "seconds": 0.0, "saved": 0.0})
        row[use.how] += 1
        row["seconds"] += use.seconds
        row["saved"] += (manifest.seconds or 0.0) if use.how == "reused" else 0.0
    return sorted(rows.values(), key=lambda row: -row["seconds"] - row["saved"])


def nodes(course: Course) -> list[dict[str, Any]]:
    """One row per artifact of the run: what it is, its parents, and its place (column, lane) in the graph."""
    labels: dict[str, Use] = {use.artifact: use for use in course.record.uses}
    parents = {id_: list(_parents(course, id_)) for id_ in labels}
    depth: dict[str, int] = {}
    for id_ in TopologicalSorter({id_: [p for _, p in found] for id_, found in parents.items()}).static_order():
        depth[id_] = max((depth[p] + 1 for _, p in parents[id_]), default=0)
    children: dict[str, list[dict[str, str]]] = {id_: [] for id_ in labels}
    for id_, found in parents.items():
        for parent in dict.fromkeys(p for _, p in found):
            children[parent].append({"id": id_, "label": labels[id_].stage})
    rows = []
    for id_, use in labels.items():
        manifest = course.manifests[id_]
        lane = LANES.index(manifest.kind) if manifest.kind in LANES else len(LANES)
        rows.append({
            "id": id_, "kind": manifest.kind, "label": use.stage, "how": use.how, "seconds": manifest.seconds,
            "rows": manifest.rows, "bytes": manifest.bytes, "created_at": manifest.created_at[:19],
            "created_by": manifest.created_by, "spec": dict(manifest.spec), "column": depth[id_], "lane": lane,
            "parents": [{"role": role, "id": p, "label": labels[p].stage} for role, p in parents[id_]],
            "children": children[id_],
        })  # fmt: skip
    return _spread(rows)


def _parents(course: Course, id_: str) -> Iterator[tuple[str, str]]:
    """(role, id) of an artifact's parents that the run used."""
    for role, given in course.manifests[id_].parents.items():
        for parent in [given] if isinstance(given, str) else given:
            if parent in course.manifests:
                yield role, parent


def _spread(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Artifacts of one column and lane side by side: `shift` counts them."""
    met: dict[tuple[int, int], int] = {}
    for row in rows:
        place = (row["column"], row["lane"])
        row["shift"] = met[place] = met.get(place, -1) + 1
    return rows
