"""Gates between an edited model and its release: measured scores compared with the spec's limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from editflow.flows.spec.sections import GatesSection
from editflow.tasks.releases.queue import QueuedRequest, ReleaseEvent

LEAST = {"efficacy": "%", "retention": "%"}
"""Gates that a measurement must reach, with their units; the others are not to be exceeded."""
_BELOW = " points below the unedited model"
MOST = {"neighbourhood": _BELOW, "perplexity": " times the unedited model's", "ability": _BELOW}


def breaches(gates: GatesSection, measures: Mapping[str, float]) -> tuple[str, ...]:
    """One line for each gate that a measurement breaks; what could not be measured breaks none.

    `measures` has the gates' names and units. What is no number breaks its gate: a model that says nothing passes none.
    """
    found = []
    for name, unit in {**LEAST, **MOST}.items():
        limit, value = getattr(gates, name), measures.get(name)
        if limit is False or value is None:
            continue
        kept = value >= limit if name in LEAST else value <= limit
        if not kept:
            found.append(f"{name}: {value:.4g}{unit}, {'at least' if name in LEAST else 'at most'} {limit:g} allowed")
    return tuple(found)


def settle_gates(moves: Sequence[tuple[int, ReleaseEvent]], after: int = 0) -> list[dict[str, int | float | str]]:
    """What became of requests since a version of the release, a row for each time that some were settled."""
    return [
        {
            "release": version,
            "requests": len(move.entries),
            "status": move.status,
            **{gate: round(value, 3) for gate, value in move.measures.items()},
            "reason": "; ".join(move.reasons),
        }
        for version, move in moves
        if move.move == "settle" and version > after
    ]


def held_back(moves: Sequence[tuple[int, ReleaseEvent]], entries: Sequence[QueuedRequest]) -> list[str]:
    """A line for each request that a gate kept from the release: which it is, what it says, and what was measured."""
    known = {entry.id: entry.request for entry in entries}
    return [
        f"{id_}: {known[id_].prompt.format(known[id_].subject)} {known[id_].target_new.strip()} "
        f"({'; '.join(move.reasons)})"
        for _, move in moves
        if move.move == "settle" and move.status == "rejected"
        for id_ in move.entries
    ]
