"""The gates between an edited model and its release: what was measured against what a spec asks for."""

from __future__ import annotations

from collections.abc import Mapping

from flows.sections import GatesSection

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
