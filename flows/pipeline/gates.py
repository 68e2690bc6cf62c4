"""Gates before a release: the measured scores of an edited model compared with the limits of the spec."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from editflow.flows.spec.sections import GatesSection
from editflow.tasks.releases.queue import QueuedRequest, ReleaseEvent

MINIMUMS = {"efficacy": "%", "retention": "%"}
"""{gate: unit} of gates with a lower limit; those of MAXIMUMS have an upper limit."""
_BELOW = " points below the unedited model"
MAXIMUMS = {"neighbourhood": _BELOW, "perplexity": " times the unedited model's", "ability": _BELOW}


def breaches(gates: GatesSection, measures: Mapping[str, float]) -> tuple[str, ...]:
    """One line per gate that fails. A gate without a measurement passes; NaN fails.

    `measures` has the names and units of the gates.
    """
    found = []
    for name, unit in {**MINIMUMS, **MAXIMUMS}.items():
        limit, value = getattr(gates, name), measures.get(name)
        if limit is False or value is None:
            continue
        passes = value >= limit if name in MINIMUMS else value <= limit
        if not passes:
            found.append(
                f"{name}: {value:.4g}{unit}, {'at least' if name in MINIMUMS else 'at most'} {limit:g} allowed"
            )
    return tuple(found)


def decision_rows(moves: Sequence[tuple[int, ReleaseEvent]], after: int = 0) -> list[dict[str, int | float | str]]:
    """One row per decision about queued requests, after version `after` of the release."""
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


def rejection_lines(moves: Sequence[tuple[int, ReleaseEvent]], entries: Sequence[QueuedRequest]) -> list[str]:
    """One line per rejected request: its id, its text and the reasons."""
    known = {entry.id: entry.request for entry in entries}
    return [
        f"{id_}: {known[id_].prompt.format(known[id_].subject)} {known[id_].target_new.strip()} "
        f"({'; '.join(move.reasons)})"
        for _, move in moves
        if move.move == "settle" and move.status == "rejected"
        for id_ in move.entries
    ]
