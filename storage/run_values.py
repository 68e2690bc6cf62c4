"""Validation of run summaries: the values that readers display, compute with or use as keys.

A record may come from an untrusted source. Values that no reader uses are accepted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Check = Callable[[Any], bool]


def _type(*types: type) -> Check:
    return lambda value: type(value) in types


def _list(check: Check) -> Check:
    return lambda value: type(value) is list and all(map(check, value))


def _map(check: Check) -> Check:
    """An object with any keys whose values all pass the check."""
    return lambda value: type(value) is dict and all(map(check, value.values()))


def _fields(required: Mapping[str, Check], optional: Mapping[str, Check], *, closed: bool = False) -> Check:
    """An object with these fields; if `closed`, without any others."""
    checks = {**required, **optional}

    def is_valid(value: Any) -> bool:
        return bool(
            type(value) is dict
            and required.keys() <= value.keys()
            and all(checks[name](found) if name in checks else not closed for name, found in value.items())
        )

    return is_valid


_COUNT, _TEXT, _NUMBER = _type(int), _type(str), _type(int, float, type(None))
_SCORES, _TEXTS = _map(_NUMBER), _list(_TEXT)
_ABILITY = _map(_map(_fields({"accuracy": _NUMBER}, {})))
_BATCH = _fields({"batch": _COUNT, "facts": _COUNT, "state": _TEXT}, {"edited": _COUNT, "metrics": _map(_SCORES)})
_SETTLED = _fields(
    {"release": _COUNT, "move": _TEXT, "at": _TEXT},
    {"entries": _TEXTS, "status": _TEXT, "state": _type(str, type(None)), "measures": _SCORES, "reasons": _TEXTS,
     "to": _COUNT, "run": _TEXT}, closed=True,
)  # fmt: skip
"""An entry of a queue's release log."""
_SUMMARY = _fields({}, {
    "facts": _COUNT, "queue": _TEXT, "release": _COUNT, "pending": _COUNT, "state": _type(str, type(None)),
    "batches": _list(_BATCH), "settled": _list(_SETTLED), "before": _type(dict), "after": _type(dict),
})  # fmt: skip


def is_summary(found: Mapping[str, Any]) -> bool:
    """Whether the object can be the summary of a run."""
    if not _SUMMARY(found):
        return False
    if "settled" in found:
        return {"queue", "release", "pending"} <= set(found)
    if "before" not in found:
        return True
    if not {"after", "facts", "batches"} <= set(found):
        return False
    before, after = found["before"], found["after"]
    return _is_measurement(before) and _is_measurement(after) and _covers(after, before)


def _is_measurement(found: Mapping[str, Any]) -> bool:
    """Whether the object can be the measurements of a state: {metric: {score: number}}, except for three metrics."""
    others: dict[str, Check] = {"perplexity": _NUMBER, "texts": _SCORES, "ability": _ABILITY}
    return all(others.get(name, _SCORES)(value) for name, value in found.items())


def _covers(after: Mapping[str, Any], before: Mapping[str, Any]) -> bool:
    """Whether everything measured before was also measured after."""
    ability: Mapping[str, Any] = after.get("ability", {})
    modes = [(name, mode) for name, found in before.get("ability", {}).items() for mode in found]
    return set(before) <= set(after) and all(mode in ability.get(name, ()) for name, mode in modes)
