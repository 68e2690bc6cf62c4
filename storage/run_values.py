"""The values that a run's summary can hold; readers show them, compute with them and use them as keys.

A record may come from anyone. Values that no reader uses are accepted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Holds = Callable[[Any], bool]


def _is(*kinds: type) -> Holds:
    return lambda value: type(value) in kinds


def _list(holds: Holds) -> Holds:
    return lambda value: type(value) is list and all(holds(one) for one in value)


def _object(holds: Holds) -> Holds:
    """An object whose values have a shape, under any names."""
    return lambda value: type(value) is dict and all(holds(one) for one in value.values())


def _fields(needed: Mapping[str, Holds], others: Mapping[str, Holds], *, closed: bool = False) -> Holds:
    """An object with some fields and perhaps others; if it is `closed`, no other fields."""
    every = {**needed, **others}

    def holds(value: Any) -> bool:
        return bool(
            type(value) is dict
            and needed.keys() <= value.keys()
            and all(every[name](found) if name in every else not closed for name, found in value.items())
        )

    return holds


_COUNT, _TEXT, _NUMBER = _is(int), _is(str), _is(int, float, type(None))
_SCORES, _TEXTS = _object(_NUMBER), _list(_TEXT)
_ABILITY = _object(_object(_fields({"accuracy": _NUMBER}, {})))
_BATCH = _fields({"batch": _COUNT, "facts": _COUNT, "state": _TEXT}, {"edited": _COUNT, "metrics": _object(_SCORES)})
_SETTLED = _fields(
    {"release": _COUNT, "move": _TEXT, "at": _TEXT},
    {"entries": _TEXTS, "status": _TEXT, "state": _is(str, type(None)), "measures": _SCORES, "reasons": _TEXTS,
     "to": _COUNT, "run": _TEXT}, closed=True,
)  # fmt: skip
"""A move of a queue's log and the release that it made."""
_SUMMARY = _fields({}, {
    "facts": _COUNT, "queue": _TEXT, "release": _COUNT, "pending": _COUNT, "state": _is(str, type(None)),
    "batches": _list(_BATCH), "settled": _list(_SETTLED), "before": _is(dict), "after": _is(dict),
})  # fmt: skip


def is_summary(found: Mapping[str, Any]) -> bool:
    """Whether a run may have written it."""
    if not _SUMMARY(found):
        return False
    if "settled" in found:
        return {"queue", "release", "pending"} <= set(found)
    if "before" not in found:
        return True
    if not {"after", "facts", "batches"} <= set(found):
        return False
    before, after = found["before"], found["after"]
    return _measured(before) and _measured(after) and _covers(after, before)


def _measured(found: Mapping[str, Any]) -> bool:
    """The measurements of a state: {metric: {score: number}}, except for these."""
    others: dict[str, Holds] = {"perplexity": _NUMBER, "texts": _SCORES, "ability": _ABILITY}
    return all(others.get(name, _SCORES)(value) for name, value in found.items())


def _covers(after: Mapping[str, Any], before: Mapping[str, Any]) -> bool:
    """Whether all that was measured before was measured afterwards too."""
    held: Mapping[str, Any] = after.get("ability", {})
    ways = [(name, way) for name, found in before.get("ability", {}).items() for way in found]
    return set(before) <= set(after) and all(way in held.get(name, ()) for name, way in ways)
