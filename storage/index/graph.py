"""The lineage graph as arrays of numbers: a walk over a million artifacts takes milliseconds.

Artifacts are numbered in the order of their ids. Inputs are edges (child, parent, role), sorted by child, with a second
order by parent. What came later, some thousands at most, is numbered behind the others and has edges of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from editflow.storage.index.shard_listing import Ids

Numbers = npt.NDArray[np.int32]
NewArtifact = tuple[str, str, float, Sequence[tuple[str, str]]]
"""An artifact that came later: id, kind, seconds, (role, parent) of its inputs."""

_ARRAYS = {"ids": "S32", "kind": "i4", "seconds": "f8", "child": "i4", "parent": "i4", "role": "i4", "by_parent": "i4"}


@dataclass(frozen=True)
class Edges:
    """`child` is sorted, and `by_parent` gives the places of the edges in the order of their parents; None: neither."""

    child: Numbers
    parent: Numbers
    role: Numbers
    by_parent: Numbers | None = None

    def sorted(self) -> Edges:
        """The same in order."""
        child, parent, role = self.child, self.parent, self.role
        if (child[1:] < child[:-1]).any():
            order = np.argsort(child)
            child, parent, role = child[order], parent[order], role[order]
        return Edges(child, parent, role, np.argsort(parent).astype("i4"))

    def joined(self, other: Edges) -> Edges:
        """Both in order, where both are; for an `other` of few edges a fraction of sorting them all."""
        if self.by_parent is None or other.by_parent is None:
            raise ValueError("edges must be in order to be joined")
        at = np.searchsorted(self.child, other.child, "right")
        before = np.cumsum(np.bincount(at, minlength=len(self.child) + 1))[: len(self.child)]
        moved = (np.arange(len(self.child)) + before).astype("i4")[self.by_parent]
        among = np.searchsorted(self.parent, other.parent[other.by_parent], "right", sorter=self.by_parent)
        own = (at + np.arange(len(at))).astype("i4")[other.by_parent]
        pairs = ((self.child, other.child), (self.parent, other.parent), (self.role, other.role))
        child, parent, role = (np.insert(ours, at, theirs) for ours, theirs in pairs)
        return Edges(child, parent, role, np.insert(moved, among, own))

    def renumbered(self, new: Numbers) -> Edges:
        """The same by new numbers; what is in order stays so when these are in the order of the old."""
        return Edges(new[self.child], new[self.parent], self.role, self.by_parent)

    def at(self, nodes: Numbers, *, up: bool) -> Numbers:
        """The places of all edges from these nodes to their parents or, if not `up`, to their children."""
        key, order = (self.child, None) if up else (self.parent, self.by_parent)
        first = np.searchsorted(key, nodes, "left", sorter=order)
        counts = np.searchsorted(key, nodes, "right", sorter=order) - first
        ends = np.cumsum(counts)
        places = np.repeat(first - ends + counts, counts) + np.arange(ends[-1] if len(ends) else 0)
        return places.astype("i4") if order is None else order[places]


@dataclass(frozen=True)
class Walk:
    """`depth` of every artifact, -1 where it was not reached; the edges walked as (near, far, role)."""

    depth: Numbers
    near: Numbers
    far: Numbers
    role: Numbers


@dataclass(frozen=True)
class Graph:
    """`ids` (32 bytes each, sorted) and then `extra` number the artifacts; kind 0 is that of one that is not there."""

    ids: Ids
    extra: tuple[str, ...]
    kind: Numbers
    seconds: npt.NDArray[np.float64]
    kinds: list[str | None]
    roles: list[str]
    layers: tuple[Edges, ...]

    def positions(self, ids: Sequence[str]) -> Numbers:
        """The number of each id, -1 for one that is unknown."""
        wanted = _raw(ids)
        if not len(self.ids) or not len(ids):
            found = np.full(len(ids), -1, "i4")
        else:
            places = np.minimum(np.searchsorted(self.ids, wanted), len(self.ids) - 1).astype("i4")
            found = np.where(self.ids[places] == wanted, places, -1).astype("i4")
        later = {id_: len(self.ids) + n for n, id_ in enumerate(self.extra)}
        for n in np.flatnonzero(found < 0).tolist() if later else ():
            found[n] = later.get(ids[n], -1)
        return found

    def ids_at(self, nodes: Numbers) -> list[str]:
        """The ids of these numbers."""
        base = len(self.ids)
        raw = self.ids.view("u1").reshape(-1, 32) if base else np.zeros((1, 32), "u1")
        text = raw[np.where(nodes < base, nodes, 0)].tobytes().hex()
        return [self.extra[n - base] if n >= base else text[64 * i : 64 * i + 64] for i, n in enumerate(nodes.tolist())]

    def of_kind(self, kind: str) -> list[str]:
        """The ids of the artifacts of a kind."""
        return (
            self.ids_at(np.flatnonzero(self.kind == self.kinds.index(kind)).astype("i4")) if kind in self.kinds else []
        )

    def existing_ids(self, begin: str) -> Ids:
        """The ids of the existing artifacts that begin with two digits."""
        first = int(begin, 16)
        ends = np.searchsorted(self.ids, np.array([bytes([first]), bytes([min(first + 1, 255)])], "S32"))
        low, high = ends[0], len(self.ids) if first == 255 else ends[1]
        late = [id_ for n, id_ in enumerate(self.extra, len(self.ids)) if id_[:2] == begin and self.kind[n]]
        return np.concatenate([self.ids[low:high][self.kind[low:high] > 0], _raw(late)])

    def children(self, nodes: Numbers) -> list[str]:
        """The ids of existing artifacts that were made from these. Cost: a pass over all edges."""
        if not len(nodes):
            return []
        found = np.concatenate([layer.child[np.isin(layer.parent, nodes)] for layer in self.layers])
        found = np.unique(found).astype("i4")
        return self.ids_at(found[self.kind[found] > 0])

    def missing_parents(self) -> list[str]:
        """The ids of missing artifacts that existing ones were made from. Cost: a pass over all edges."""
        missing = [layer.parent[(self.kind[layer.parent] == 0) & (self.kind[layer.child] > 0)] for layer in self.layers]
        return self.ids_at(np.unique(np.concatenate(missing)).astype("i4"))

    def walk(self, starts: Numbers, *, up: bool) -> Walk:
        """Breadth first to parents or, if not `up`, to children. Edges of missing artifacts do not count."""
        depth = np.full(len(self.kind), -1, "i4")
        seen: list[tuple[npt.NDArray[Any], ...]] = [(np.zeros(0, "i4"),) * 3]
        front = np.unique(starts).astype("i4")
        level = 0
        while len(front):
            depth[front] = level
            for layer in self.layers:
                places = layer.at(front, up=up)
                child, parent = layer.child[places], layer.parent[places]
                real = self.kind[child] > 0
                near, far = (child, parent) if up else (parent, child)
                seen.append((near[real], far[real], layer.role[places][real]))
            reached = np.concatenate([far for _, far, _ in seen[-len(self.layers) :]])
            front = np.unique(reached[depth[reached] < 0])
            level += 1
        near, far, role = (np.concatenate(parts) for parts in zip(*seen, strict=True))
        return Walk(depth, near, far, role)

    def with_artifacts(self, later: Sequence[NewArtifact]) -> Graph:
        """The same with artifacts that came later, and with their parents that are not in the graph yet."""
        if not later:
            return self
        wanted = dict.fromkeys(id_ for made in later for id_ in (made[0], *(parent for _, parent in made[3])))
        known = dict(zip(wanted, self.positions(list(wanted)).tolist(), strict=True))
        extra = [*self.extra, *(id_ for id_, n in known.items() if n < 0)]
        known |= {id_: len(self.ids) + n for n, id_ in enumerate(extra)}
        kinds, roles = [*self.kinds], [*self.roles]
        more = len(self.ids) + len(extra) - len(self.kind)
        kind = np.concatenate([self.kind, np.zeros(more, "i4")])
        seconds = np.concatenate([self.seconds, np.zeros(more)])
        edges = []
        for id_, kind_name, took, inputs in later:
            kind[known[id_]], seconds[known[id_]] = _code(kinds, kind_name), took
            edges += [(known[id_], known[parent], _code(roles, role)) for role, parent in inputs]
        child, parent, role = np.array(edges, "i4").reshape(-1, 3).T
        layer = Edges(child, parent, role).sorted()
        return Graph(self.ids, tuple(extra), kind, seconds, kinds, roles, (*self.layers, layer))

    def without(self, ids: Iterable[str]) -> Graph:
        """The same graph without these artifacts."""
        nodes = self.positions(list(ids))
        if not len(nodes):
            return self
        kind = np.array(self.kind)
        kind[nodes[nodes >= 0]] = 0
        return replace(self, kind=kind)

    def merged(self) -> Graph:
        """The same with what came later among the others."""
        extra = _raw(self.extra)
        order = np.argsort(extra)
        places = np.searchsorted(self.ids, extra[order])
        ids = np.insert(self.ids, places, extra[order])
        base = len(self.ids)
        new = np.empty(len(ids), "i4")  # by the old number
        new[:base] = np.arange(base) + np.searchsorted(places, np.arange(base), "right")
        new[base + order] = places + np.arange(len(extra))
        kind, seconds = np.empty_like(self.kind), np.empty_like(self.seconds)
        kind[new], seconds[new] = self.kind, self.seconds
        first, *others = (layer.renumbered(new) for layer in self.layers)
        for layer in others:
            first = first.joined(layer.sorted())
        return Graph(ids, (), kind, seconds, self.kinds, self.roles, (first,))

    def save(self, folder: Path) -> None:
        """Write the arrays of a graph without later parts into a folder."""
        (edges,) = self.layers
        for name, layout in _ARRAYS.items():
            held = getattr(edges if name in vars(edges) else self, name)
            np.save(folder / f"{name}.npy", np.ascontiguousarray(held, layout))

    @classmethod
    def load(cls, path: Callable[[str], str], kinds: list[str | None], roles: list[str]) -> Graph:
        """What `save` wrote, mapped rather than read. Raises OSError, and ValueError for a number that is no place.

        `path` gives the path of a file by its name. Cost: some milliseconds for a million artifacts.
        """
        held = {name: np.asarray(np.load(path(f"{name}.npy"), mmap_mode="r")) for name in _ARRAYS}
        if any(held[name].dtype != np.dtype(layout) or held[name].ndim != 1 for name, layout in _ARRAYS.items()):
            raise ValueError("the arrays of a graph are of other types")
        nodes, edges = len(held["ids"]), len(held["child"])
        ends = {"kind": len(kinds), "child": nodes, "parent": nodes, "role": len(roles), "by_parent": edges}
        if len(held["kind"]) != nodes or len(held["seconds"]) != nodes or len({*map(len, _edges(held))}) > 1:
            raise ValueError("the arrays of a graph do not fit together")
        for name, end in ends.items():
            if len(held[name]) and not 0 <= held[name].min() <= held[name].max() < end:
                raise ValueError(f"{name} has a number that is none of {end}")
        return cls(held["ids"], (), held["kind"], held["seconds"], kinds, roles, (Edges(*_edges(held)),))


def _edges(held: Mapping[str, npt.NDArray[Any]]) -> tuple[Numbers, Numbers, Numbers, Numbers]:
    return held["child"], held["parent"], held["role"], held["by_parent"]


def _raw(ids: Sequence[str]) -> Ids:
    return np.frombuffer(bytes.fromhex("".join(ids)), "S32")


def _code(names: list[Any], name: str) -> int:
    if name not in names:
        names.append(name)
    return names.index(name)
