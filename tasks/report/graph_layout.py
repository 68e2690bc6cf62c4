"""The layout of a lineage graph: a row for each artifact, with its parents, its children and its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import TypedDict

from editflow.storage.artifacts.store import Manifest
from editflow.storage.errors import DamagedPayload

LANES = (
    "model", "documents", "tokens", "second_moment", "spectrum", "null_space", "contexts", "requests",
    "target_values", "weight_change", "keys", "state", "evaluation", "perplexity", "questions", "generations",
    "text_scores", "hidden_states", "drift", "drift_points", "ability_cases", "ability",
)  # fmt: skip
"""From what is given to what is measured: the graph's lanes, from top to bottom. Other kinds come last."""


class Near(TypedDict):
    """A child of an artifact, with its label."""

    id: str
    label: str


class Parent(Near):
    """A parent, with its role."""

    role: str


class Node(TypedDict):
    """An artifact of the graph; see `lay_out`."""

    id: str
    kind: str
    label: str
    how: str
    seconds: float | None
    rows: int
    bytes: int
    created_at: str
    created_by: str | None
    spec: Mapping[str, object]
    column: int
    lane: int
    shift: int
    parents: list[Parent]
    children: list[Near]


def lay_out(manifests: Mapping[str, Manifest], labels: Mapping[str, str], marks: Mapping[str, str]) -> list[Node]:
    """One row per artifact, in the order given: what it is, its parents and children among the others, and its place.

    `labels` are their names, `marks` what the graph colours them by (`how`). `column` is the
    length of the longest path from an artifact without parents, `lane` the kind, and `shift` counts those that share
    both. Raises DamagedPayload for a cycle.
    """
    parents = {id_: list(_parents(manifests, id_)) for id_ in manifests}
    depth = _depths({id_: [parent for _, parent in found] for id_, found in parents.items()})
    children: dict[str, list[Near]] = {id_: [] for id_ in manifests}
    for id_, found in parents.items():
        for parent in dict.fromkeys(p for _, p in found):
            children[parent].append({"id": id_, "label": labels[id_]})
    rows: list[Node] = []
    for id_, manifest in manifests.items():
        lane = LANES.index(manifest.kind) if manifest.kind in LANES else len(LANES)
        rows.append({
            "id": id_, "kind": manifest.kind, "label": labels[id_], "how": marks[id_], "seconds": manifest.seconds,
            "rows": manifest.rows, "bytes": manifest.bytes, "created_at": manifest.created_at[:19],
            "created_by": manifest.created_by, "spec": dict(manifest.spec), "column": depth[id_], "lane": lane,
            "shift": 0, "parents": [{"role": role, "id": p, "label": labels[p]} for role, p in parents[id_]],
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


def _spread(rows: list[Node]) -> list[Node]:
    """Artifacts of one column and lane side by side: `shift` counts them."""
    seen: dict[tuple[int, int], int] = {}
    for row in rows:
        place = (row["column"], row["lane"])
        row["shift"] = seen[place] = seen.get(place, -1) + 1
    return rows
