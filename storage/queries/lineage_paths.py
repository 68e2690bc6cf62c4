"""All paths between two artifacts, in either direction."""

from collections.abc import Sequence

from editflow.storage.artifacts.store import Lake
from editflow.storage.queries.query import Step, lineage


def between(lake: Lake, one: str, other: str) -> list[Step]:
    """The steps of a lineage walk from ``one`` (id or prefix) that lie on a way to ``other``, up or else down.

    The first is ``one`` itself; none where neither was made from the other. Raises UnknownArtifact.
    """
    end = lake.manifest(other).id
    return on_the_way(lineage(lake, one, "up"), end) or on_the_way(lineage(lake, one, "down"), end)


def on_the_way(steps: Sequence[Step], end: str) -> list[Step]:
    """Those of a walk's steps that lie on a way from its start to ``end``; none where the walk does not reach it."""
    arrivals: dict[str, list[str | None]] = {}
    for step in steps:
        arrivals.setdefault(step.id, []).append(step.via)
    seen, waiting = set[str](), [end] if end in arrivals else []
    while waiting:
        id_ = waiting.pop()
        if id_ not in seen:
            seen.add(id_)
            waiting += [via for via in arrivals[id_] if via is not None]
    return [step for step in steps if step.id in seen]
