"""The layout of a lineage graph: a row for each artifact, with its parents, its children and its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any

from editflow.storage.artifacts.store import Manifest
from editflow.storage.errors import DamagedPayload

LANES = (
    "model", "documents", "tokens", "second_moment", "spectrum", "null_space", "contexts", "requests",
    "target_values", "weight_change", "keys", "state", "evaluation", "perplexity", "questions", "generations",
    "text_scores", "hidden_states", "drift", "drift_points", "ability_cases", "ability",
)  # fmt: skip
"""From what is given to what is measured: the graph's lanes, from top to bottom. Other kinds come last."""


def lay_out(
    manifests: Mapping[str, Manifest], labels: Mapping[str, str], marks: Mapping[str, str]
) -> list[dict[str, Any]]:
    """One row per artifact, in the order given: what it is, its parents and children among the others, and its place.

    `labels` are what each is called, `marks` what the graph colours it by (`how`). `column` is the longest way from
    what was made from nothing, `lane` the kind, and `shift` counts those that share both. Raises DamagedPayload for
    what says that it was made from itself.
    """
    parents = {id_: list(_parents(manifests, id_)) for id_ in manifests}
    depth = _depths({id_: [parent for _, parent in found] for id_, found in parents.items()})
    children: dict[str, list[dict[str, str]]] = {id_: [] for id_ in manifests}
    for id_, found in parents.items():
        for parent in dict.fromkeys(p for _, p in found):
            children[parent].append({"id": id_, "label": labels[id_]})
    rows = []
    for id_, manifest in manifests.items():
        lane = LANES.index(manifest.kind) if manifest.kind in LANES else len(LANES)
        rows.append({
            "id": id_, "kind": manifest.kind, "label": labels[id_], "how": marks[id_], "seconds": manifest.seconds,
            "rows": manifest.rows, "bytes": manifest.bytes, "created_at": manifest.created_at[:19],
            "created_by": manifest.created_by, "spec": dict(manifest.spec), "column": depth[id_], "lane": lane,
            "parents": [{"role": role, "id": p, "label": labels[p]} for role, p in parents[id_]],
            "children": children[id_],
        })  # fmt: skip
    return _spread(rows)


def _depths(parents: Mapping[str, list[str]]) -> dict[str, int]:
    depth: dict[str, int] = {}
    try:
        for id_ in TopologicalSorter(parents).static_order():
            depth[id_] = max((depth[parent] + 1 for parent in parents[id_]), default=0)
    except CycleError as error:
        raise DamagedPayload(error.args[1][0], "it was made from itself, says its manifest") from None
    return depth


def _parents(manifests: Mapping[str, Manifest], id_: str) -> Iterator[tuple[str, str]]:
    """(role, id) of those of an artifact's parents that are among the others."""
    for role, given in manifests[id_].parents.items():
        for parent in [given] if isinstance(given, str) else given:
            if parent in manifests:
                yield role, parent


def _spread(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Artifacts of one column and lane side by side: `shift` counts them."""
    seen: dict[tuple[int, int], int] = {}
    for row in rows:
        place = (row["column"], row["lane"])
        row["shift"] = seen[place] = seen.get(place, -1) + 1
    return rows
