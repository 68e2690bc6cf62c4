"""Traversals over arrays equal traversals over dictionaries, for every way to build a graph."""

from __future__ import annotations

from collections import deque
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from editflow.storage.index.graph import Edges, Graph, NewArtifact
from editflow.storage.index.shard_listing import ShardListing, _ids, hexadecimal, new_and_removed

Made = list[NewArtifact]


def name(n: int) -> str:
    """Every fourth id ends in a zero byte, which numpy's byte strings treat as padding."""
    return sha256(b"%d" % n).hexdigest()[:62] + ("00" if n % 4 == 0 else "ab")


@st.composite
def histories(draw: st.DrawFn) -> Made:
    """Artifacts in the order of their creation, with earlier and with missing parents."""
    made: Made = []
    for n in range(draw(st.integers(0, 12))):
        parents = draw(st.lists(st.integers(0, n), max_size=3))
        inputs = [(f"role{p % 2}", name(100 + p) if p == n else name(p)) for p in parents]
        made.append(NewArtifact(name(n), f"kind{n % 3}", n / 2, inputs))
    return made


NONE = np.zeros(0, "i4")
EMPTY = Graph(np.zeros(0, "S32"), (), NONE, np.zeros(0), [None], [], (Edges(NONE, NONE, NONE, NONE),))


def naive(made: Made, start: str, *, up: bool) -> tuple[dict[str, int], set[tuple[str, str, str]]]:
    """(depth of each artifact that is reached, edges as near, far, role)."""
    pairs = [(id_, parent, role) for id_, _, _, inputs in made for role, parent in inputs]
    edges = pairs if up else [(parent, child, role) for child, parent, role in pairs]
    depth, waiting, reached_edges = {start: 0}, deque([start]), set()
    while waiting:
        near = waiting.popleft()
        for _, far, role in (edge for edge in edges if edge[0] == near):
            reached_edges.add((near, far, role))
            if far not in depth:
                depth[far] = depth[near] + 1
                waiting.append(far)
    return depth, reached_edges


def walked(graph: Graph, start: str, *, up: bool) -> tuple[dict[str, int], set[tuple[str, str, str]]]:
    walk = graph.walk(graph.positions([start]), up=up)
    nodes = np.flatnonzero(walk.depth >= 0).astype("i4")
    depth = dict(zip(graph.ids_at(nodes), walk.depth[nodes].tolist(), strict=True))
    roles = [graph.roles[role] for role in walk.role.tolist()]
    return depth, set(zip(graph.ids_at(walk.near), graph.ids_at(walk.far), roles, strict=True))


def build_variants(made: Made, cuts: tuple[int, int]) -> list[Graph]:
    """The same graph built at once, in three parts, merged, and merged, stored, loaded and extended."""
    first, second = sorted(cuts)
    parts = made[:first], made[first:second], made[second:]
    merged = EMPTY.with_artifacts(parts[0]).with_artifacts(parts[1]).merged()
    with TemporaryDirectory() as folder:
        merged.save(Path(folder))
        loaded = Graph.load(lambda name: f"{folder}/{name}", merged.kinds, merged.roles)
    grown = EMPTY.with_artifacts(parts[0]).with_artifacts(parts[1]).with_artifacts(parts[2])
    return [EMPTY.with_artifacts(made), grown, grown.merged(), loaded.with_artifacts(parts[2])]


@settings(deadline=None, max_examples=60)
@given(histories(), st.tuples(st.integers(0, 12), st.integers(0, 12)), st.booleans())
def test_traversals_equal_a_naive_traversal(made: Made, cuts: tuple[int, int], up: bool) -> None:
    there = {id_: (kind, took) for id_, kind, took, _ in made}
    for graph in build_variants(made, cuts):
        for start in there:
            assert walked(graph, start, up=up) == naive(made, start, up=up)
        shards = {id_[:2] for id_ in there}
        assert {id_ for shard in shards for id_ in hexadecimal(graph.existing_ids(shard))} == set(there)
        numbers = graph.positions(list(there))
        assert {
            id_: (graph.kinds[graph.kind[n]], graph.seconds[n]) for id_, n in zip(there, numbers, strict=True)
        } == there
        assert graph.positions([name(999)]).tolist() == [-1]


def test_control_the_direction_of_a_traversal_matters() -> None:
    made = [NewArtifact(name(0), "a", 0, []), NewArtifact(name(1), "a", 0, [("r", name(0))])]
    graph = EMPTY.with_artifacts(made)
    assert walked(graph, name(1), up=True) != walked(graph, name(1), up=False)


@settings(deadline=None, max_examples=40)
@given(histories(), st.integers(0, 11))
def test_a_removed_artifact_is_not_traversed(made: Made, which: int) -> None:
    gone = name(which)
    left = [one for one in made if one[0] != gone]
    for graph in build_variants(made, (3, 7)):
        without = graph.without([gone, name(999)])
        for id_, *_ in left:
            assert walked(without, id_, up=True) == naive(left, id_, up=True)
        assert gone not in hexadecimal(without.existing_ids(gone[:2]))
        back = without.with_artifacts([NewArtifact(gone, "kind9", 1.0, [])])
        assert gone in hexadecimal(back.existing_ids(gone[:2]))


@settings(deadline=None, max_examples=60)
@given(
    st.sets(st.integers(0, 40)),
    st.sets(st.integers(0, 40)),
    st.lists(st.sampled_from([".tmp-1", "x", "AB" * 32, "x" * 64])),
)
def test_new_and_removed_ids_are_found(before: set[int], after: set[int], junk: list[str]) -> None:
    def of(numbers: set[int]) -> list[str]:
        return [f"ab{name(n)[2:]}" for n in numbers]

    look = ShardListing({"ab": _ids([*of(after), *junk], "ab")}, {})
    held = np.array([bytes.fromhex(id_) for id_ in of(before)], "S32")
    new, gone = new_and_removed(look, lambda _shard: held)
    assert (set(new), set(gone)) == (set(of(after)) - set(of(before)), set(of(before)) - set(of(after)))
