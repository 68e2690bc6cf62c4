"""The layout of a lineage graph: its artifacts with their parents, children and positions."""

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
"""The kinds from top to bottom of the graph, from inputs to measurements. Other kinds follow them."""


class Linked(TypedDict):
    """A child of an artifact."""

    id: str
    label: str


class Parent(Linked):
    """A parent of an artifact."""

    role: str


class Node(TypedDict):
    """An artifact of the graph.

    `how` is its category, shown by colour. `column` is the length of the longest path from an artifact without parents,
    `lane` the position of its kind, and `shift` counts the artifacts in the same column and lane.
    """

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
    children: list[Linked]


def lay_out(manifests: Mapping[str, Manifest], labels: Mapping[str, str], marks: Mapping[str, str]) -> list[Node]:
    """One node per artifact, in the given order, with its parents and children among the given artifacts.

    `labels` are names and `marks` categories, by id. Raises DamagedPayload for a cycle.
    """
    parents = {id_: list(_parents(manifests, id_)) for id_ in manifests}
    columns = _columns({id_: [parent for _, parent in found] for id_, found in parents.items()})
    children: dict[str, list[Linked]] = {id_: [] for id_ in manifests}
    for id_, found in parents.items():
        for parent in dict.fromkeys(p for _, p in found):
            children[parent].append({"id": id_, "label": labels[id_]})
    rows: list[Node] = []
    for id_, manifest in manifests.items():
        lane, _ = lane_order(manifest.kind)
        rows.append({
            "id": id_, "kind": manifest.kind, "label": labels[id_], "how": marks[id_], "seconds": manifest.seconds,
            "rows": manifest.rows, "bytes": manifest.bytes, "created_at": manifest.created_at[:19],
            "created_by": manifest.created_by, "spec": dict(manifest.spec), "column": columns[id_], "lane": lane,
            "shift": 0, "parents": [{"role": role, "id": p, "label": labels[p]} for role, p in parents[id_]],
            "children": children[id_],
        })  # fmt: skip
    _set_shifts(rows)
    return rows


def lane_order(kind: str) -> tuple[int, str]:
    """A key that sorts kinds in the order of LANES, and other kinds by name after them."""
    return (LANES.index(kind) if kind in LANES else len(LANES), kind)


def _columns(parents: Mapping[str, list[str]]) -> dict[str, int]:
    columns: dict[str, int] = {}
    try:
        for id_ in TopologicalSorter(parents).static_order():
            columns[id_] = max((columns[parent] + 1 for parent in parents[id_]), default=0)
    except CycleError as error:
        raise DamagedPayload(error.args[1][0], "according to its manifest, it was made from itself") from None
    return columns


def _parents(manifests: Mapping[str, Manifest], id_: str) -> Iterator[tuple[str, str]]:
    """(role, id) of the parents of an artifact that are in `manifests`."""
    for role, given in manifests[id_].parents.items():
        for parent in [given] if isinstance(given, str) else given:
            if parent in manifests:
                yield role, parent


def _set_shifts(rows: list[Node]) -> None:
    seen: dict[tuple[int, int], int] = {}
    for row in rows:
        place = (row["column"], row["lane"])
        row["shift"] = seen[place] = seen.get(place, -1) + 1
