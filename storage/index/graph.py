"""The lineage graph as arrays, in which a traversal of a million artifacts takes milliseconds.

Artifacts are numbered in the order of their ids. Inputs are edges (child, parent, role), sorted by child, with a second
order by parent. Artifacts that are added later, some thousands at most, get the next numbers and a layer of edges.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from editflow.storage.index.shard_listing import Ids

Numbers = npt.NDArray[np.int32]

_ARRAYS = {"ids": "S32", "kind": "i4", "seconds": "f8", "child": "i4", "parent": "i4", "role": "i4", "by_parent": "i4"}


class NewArtifact(NamedTuple):
    """An artifact to add to a graph. `inputs` are (role, parent)."""

    id: str
    kind: str
    seconds: float
    inputs: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Edges:
    """Edges, sorted by `child`; `by_parent` are their indices in the order of `parent`, None if they are unsorted."""

    child: Numbers
    parent: Numbers
    role: Numbers
    by_parent: Numbers | None = None

    def sorted(self) -> Edges:
        """The same edges, sorted."""
        child, parent, role = self.child, self.parent, self.role
        if (child[1:] < child[:-1]).any():
            order = np.argsort(child)
            child, parent, role = child[order], parent[order], role[order]
        return Edges(child, parent, role, np.argsort(parent).astype("i4"))

    def merged(self, other: Edges) -> Edges:
        """Both sets of sorted edges, merged; for few edges in `other`, much cheaper than sorting all."""
        if self.by_parent is None or other.by_parent is None:
            raise ValueError("edges must be sorted to be merged")
        positions = np.searchsorted(self.child, other.child, "right")
        shift = np.cumsum(np.bincount(positions, minlength=len(self.child) + 1))[: len(self.child)]
        ours = (np.arange(len(self.child)) + shift).astype("i4")[self.by_parent]
        theirs = (positions + np.arange(len(positions))).astype("i4")[other.by_parent]
        places = np.searchsorted(self.parent, other.parent[other.by_parent], "right", sorter=self.by_parent)
        pairs = ((self.child, other.child), (self.parent, other.parent), (self.role, other.role))
        child, parent, role = (np.insert(mine, positions, others) for mine, others in pairs)
        return Edges(child, parent, role, np.insert(ours, places, theirs))

    def renumbered(self, new: Numbers) -> Edges:
        """The same edges with new numbers; they stay sorted if these keep the order of the old ones."""
        return Edges(new[self.child], new[self.parent], self.role, self.by_parent)

    def indices(self, nodes: Numbers, *, up: bool) -> Numbers:
        """The indices of all edges from these nodes to their parents or, if not `up`, to their children."""
        key, order = (self.child, None) if up else (self.parent, self.by_parent)
        first = np.searchsorted(key, nodes, "left", sorter=order)
        counts = np.searchsorted(key, nodes, "right", sorter=order) - first
        ends = np.cumsum(counts)
        found = np.repeat(first - ends + counts, counts) + np.arange(ends[-1] if len(ends) else 0)
        return found.astype("i4") if order is None else order[found]


@dataclass(frozen=True)
class Walk:
    """`depth` of every artifact, -1 if it was not reached; the traversed edges as (near, far, role)."""

    depth: Numbers
    near: Numbers
    far: Numbers
    role: Numbers


@dataclass(frozen=True)
class Graph:
    """Artifacts are numbered by `ids` (32 bytes each, sorted), then by `extra`. Missing artifacts have kind 0."""

    ids: Ids
    extra: tuple[str, ...]
    kind: Numbers
    seconds: npt.NDArray[np.float64]
    kinds: list[str | None]
    roles: list[str]
    layers: tuple[Edges, ...]

    def positions(self, ids: Sequence[str]) -> Numbers:
        """The number of each id, -1 if it is unknown."""
        wanted = _raw(ids)
        if not len(self.ids) or not len(ids):
            found = np.full(len(ids), -1, "i4")
        else:
            places = np.minimum(np.searchsorted(self.ids, wanted), len(self.ids) - 1).astype("i4")
            found = np.where(self.ids[places] == wanted, places, -1).astype("i4")
        extra = {id_: len(self.ids) + n for n, id_ in enumerate(self.extra)}
        for n in np.flatnonzero(found < 0).tolist() if extra else ():
            found[n] = extra.get(ids[n], -1)
        return found

    def ids_at(self, nodes: Numbers) -> list[str]:
        """The ids with these numbers."""
        base = len(self.ids)
        raw = self.ids.view("u1").reshape(-1, 32) if base else np.zeros((1, 32), "u1")
        text = raw[np.where(nodes < base, nodes, 0)].tobytes().hex()
        return [self.extra[n - base] if n >= base else text[64 * i : 64 * i + 64] for i, n in enumerate(nodes.tolist())]

    def of_kind(self, kind: str) -> list[str]:
        """The ids of the artifacts of a kind."""
        if kind not in self.kinds:
            return []
        return self.ids_at(np.flatnonzero(self.kind == self.kinds.index(kind)).astype("i4"))

    def existing_ids(self, shard: str) -> Ids:
        """The ids of the existing artifacts in a shard: those that begin with two digits."""
        first = int(shard, 16)
        ends = np.searchsorted(self.ids, np.array([bytes([first]), bytes([min(first + 1, 255)])], "S32"))
        low, high = ends[0], len(self.ids) if first == 255 else ends[1]
        extra = [id_ for n, id_ in enumerate(self.extra, len(self.ids)) if id_[:2] == shard and self.kind[n]]
        return np.concatenate([self.ids[low:high][self.kind[low:high] > 0], _raw(extra)])

    def children(self, nodes: Numbers) -> list[str]:
        """The ids of existing artifacts that have these as parents. Cost: a pass over all edges."""
        if not len(nodes):
            return []
        found = np.concatenate([layer.child[np.isin(layer.parent, nodes)] for layer in self.layers])
        found = np.unique(found).astype("i4")
        return self.ids_at(found[self.kind[found] > 0])

    def missing_parents(self) -> list[str]:
        """The ids of missing artifacts that are parents of existing ones. Cost: a pass over all edges."""
        missing = [layer.parent[(self.kind[layer.parent] == 0) & (self.kind[layer.child] > 0)] for layer in self.layers]
        return self.ids_at(np.unique(np.concatenate(missing)).astype("i4"))

    def walk(self, starts: Numbers, *, up: bool) -> Walk:
        """Traverse breadth-first to parents or, if not `up`, to children. Edges of missing children are ignored."""
        depth = np.full(len(self.kind), -1, "i4")
        seen: list[tuple[npt.NDArray[Any], ...]] = [(np.zeros(0, "i4"),) * 3]
        front = np.unique(starts).astype("i4")
        level = 0
        while len(front):
            depth[front] = level
            for layer in self.layers:
                edges = layer.indices(front, up=up)
                child, parent = layer.child[edges], layer.parent[edges]
                exists = self.kind[child] > 0
                near, far = (child, parent) if up else (parent, child)
                seen.append((near[exists], far[exists], layer.role[edges][exists]))
            reached = np.concatenate([far for _, far, _ in seen[-len(self.layers) :]])
            front = np.unique(reached[depth[reached] < 0])
            level += 1
        near, far, role = (np.concatenate(parts) for parts in zip(*seen, strict=True))
        return Walk(depth, near, far, role)

    def with_artifacts(self, artifacts: Iterable[NewArtifact]) -> Graph:
        """This graph and new artifacts in a layer of their own, with their parents that it does not have yet."""
        if not (artifacts := list(artifacts)):
            return self
        ids = dict.fromkeys(id_ for new in artifacts for id_ in (new.id, *(parent for _, parent in new.inputs)))
        number = dict(zip(ids, self.positions(list(ids)).tolist(), strict=True))
        extra = [*self.extra, *(id_ for id_, n in number.items() if n < 0)]
        number |= {id_: len(self.ids) + n for n, id_ in enumerate(extra)}
        kinds, roles = [*self.kinds], [*self.roles]
        more = len(self.ids) + len(extra) - len(self.kind)
        kind = np.concatenate([self.kind, np.zeros(more, "i4")])
        seconds = np.concatenate([self.seconds, np.zeros(more)])
        edges = []
        for new in artifacts:
            child = number[new.id]
            kind[child], seconds[child] = _index(kinds, new.kind), new.seconds
            edges += [(child, number[parent], _index(roles, role)) for role, parent in new.inputs]
        layer = Edges(*np.array(edges, "i4").reshape(-1, 3).T).sorted()
        return Graph(self.ids, tuple(extra), kind, seconds, kinds, roles, (*self.layers, layer))

    def without(self, ids: Iterable[str]) -> Graph:
        """This graph with these artifacts marked as missing."""
        nodes = self.positions(list(ids))
        if not len(nodes):
            return self
        kind = np.array(self.kind)
        kind[nodes[nodes >= 0]] = 0
        return replace(self, kind=kind)

    def merged(self) -> Graph:
        """This graph in a single layer, with all ids in order."""
        extra = _raw(self.extra)
        order = np.argsort(extra)
        positions = np.searchsorted(self.ids, extra[order])
        ids = np.insert(self.ids, positions, extra[order])
        base = len(self.ids)
        new = np.empty(len(ids), "i4")  # by old number
        new[:base] = np.arange(base) + np.searchsorted(positions, np.arange(base), "right")
        new[base + order] = positions + np.arange(len(extra))
        kind, seconds = np.empty_like(self.kind), np.empty_like(self.seconds)
        kind[new], seconds[new] = self.kind, self.seconds
        first, *others = (layer.renumbered(new) for layer in self.layers)
        for layer in others:
            first = first.merged(layer.sorted())
        return Graph(ids, (), kind, seconds, self.kinds, self.roles, (first,))

    def save(self, folder: Path) -> None:
        """Write the arrays of a merged graph into a folder."""
        (edges,) = self.layers
        for name, layout in _ARRAYS.items():
            array = getattr(edges if name in vars(edges) else self, name)
            np.save(folder / f"{name}.npy", np.ascontiguousarray(array, layout))

    @classmethod
    def load(cls, path: Callable[[str], str], kinds: list[str | None], roles: list[str]) -> Graph:
        """The graph that `save` wrote; its arrays are memory-mapped. `path` returns the path of a file by its name.

        Raises OSError, and ValueError for arrays that do not fit together. Cost: milliseconds for a million artifacts.
        """
        arrays = {name: np.asarray(np.load(path(f"{name}.npy"), mmap_mode="r")) for name in _ARRAYS}
        if any(arrays[name].dtype != np.dtype(layout) or arrays[name].ndim != 1 for name, layout in _ARRAYS.items()):
            raise ValueError("the arrays of a graph have other types")
        nodes, edges = len(arrays["ids"]), len(arrays["child"])
        ends = {"kind": len(kinds), "child": nodes, "parent": nodes, "role": len(roles), "by_parent": edges}
        edge_arrays = [arrays[name] for name in ("child", "parent", "role", "by_parent")]
        if len(arrays["kind"]) != nodes or len(arrays["seconds"]) != nodes or len({*map(len, edge_arrays)}) > 1:
            raise ValueError("the arrays of a graph do not fit together")
        for name, end in ends.items():
            if len(arrays[name]) and not 0 <= arrays[name].min() <= arrays[name].max() < end:
                raise ValueError(f"{name} has a number outside of 0 to {end - 1}")
        return cls(arrays["ids"], (), arrays["kind"], arrays["seconds"], kinds, roles, (Edges(*edge_arrays),))


def _raw(ids: Sequence[str]) -> Ids:
    return np.frombuffer(bytes.fromhex("".join(ids)), "S32")


def _index(names: list[Any], name: str) -> int:
    if name not in names:
        names.append(name)
    return names.index(name)
