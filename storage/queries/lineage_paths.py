"""All paths between two artifacts, in either direction."""

from collections.abc import Sequence

from editflow.storage.artifacts.store import Lake
from editflow.storage.queries.query import Step, lineage


def paths_between(lake: Lake, one: str, other: str) -> list[Step]:
    """The steps of all lineage paths from ``one`` to ``other`` (ids or prefixes), upstream or else downstream.

    The first step is ``one`` itself. Empty if neither was made from the other. Raises UnknownArtifact.
    """
    end = lake.manifest(other).id
    return steps_to(lineage(lake, one, "up"), end) or steps_to(lineage(lake, one, "down"), end)


def steps_to(steps: Sequence[Step], end: str) -> list[Step]:
    """The steps of a walk that are on a path from its start to ``end``; empty if the walk does not reach ``end``."""
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
