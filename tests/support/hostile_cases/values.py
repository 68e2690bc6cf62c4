"""Unexpected values, and changes of JSON trees with them."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from support import hostile_lake

RAW = {
    "@deep list@": "[" * 5_000 + "]" * 5_000,
    "@deep object@": '{"a":' * 3_000 + "1" + "}" * 3_000,
    "@many digits@": "9" * 6_000,
    "@huge exponent@": "1e999999",
    "@not a number@": "NaN",
    "@infinity@": "-Infinity",
    "@twice@": '{"id": 1, "id": 2}',
    "@half a pair@": '"\\ud800"',
}
"""JSON that `json.dumps` would not write; it replaces these texts."""
NUMBERS = (0, -1, 1, 2**31, 2**63, 2**64, 10**30, 1e308, 5e-324, 0.5, -0.0, True, False)
TEXTS = (
    "", " ", "\n", "\x00", "a\x00b", "\ud7ff", "\u202eabc", hostile_lake.TEXT, hostile_lake.LONG,
    "x" * 100_000, "%s %n {0} {x}", "{}",
    "nan", "null", "-1", "1e9", "[red]", "$HOME", "`id`", "'; DROP TABLE runs; --", '"', "'", "\\", "~", "~nobody/x",
    "a/b",
    "2026-13-45T99:99:99", "0001-01-01T00:00:00", "9999-12-31T23:59:59.999", "2026-11-22T10:45:30+99:00",
    "\u0130\u0131\ufb03",
)  # fmt: skip


def places(outside: Path) -> tuple[str, ...]:
    """Paths that lead out of their folder."""
    up = "../" * 8
    return (
        "..", ".", "/", "../..", "../../outside/planted", "../../../outside/victim", f"{up}etc/passwd", str(outside),
        f"{outside}/secret.txt", f"{outside}/victim", f"{outside}/victim/artifacts", f"file://{outside}/secret.txt",
        f"{outside}/planted\x00.json", "a/../../b", "..\\..\\planted", "con", "a" * 300, f"{'a' * 200}/" * 30,
    )  # fmt: skip


def ids(outside: Path) -> tuple[str, ...]:
    """Valid and invalid ids."""
    return (
        "0" * 64, "f" * 64, "F" * 64, "0" * 63, "0" * 65, "0" * 64 + "\n", "g" * 64, "０" * 64, "..", *places(outside)
    )  # fmt: skip


def odd(draw: Random, outside: Path) -> Any:
    """A value of any type."""
    ways = (
        lambda: draw.choice(NUMBERS),
        lambda: draw.choice(TEXTS),
        lambda: draw.choice(places(outside)),
        lambda: draw.choice(ids(outside)),
        lambda: draw.choice(sorted(RAW)),
        lambda: draw.choice((None, [], {}, [[]], [None], {"": {}}, [1, "a"], {"a": None})),
    )
    return draw.choice(ways)()


TIMES = (
    "2026-11-30", "2026-11-30T10:45:30", "0001-01-01T00:00:00+00:00", "9999-12-31T23:59:59.999+00:00",
    "2026-11-22T10:45:30+14:00", "290000-01-01 00:00:00",
)  # fmt: skip


def within(was: Any, draw: Random) -> Any:
    """Another value of the same type that no writer would write; it passes a type check."""
    if isinstance(was, bool) or was is None:
        return not was
    if isinstance(was, (int, float)):
        return type(was)(draw.choice((0, 1, 10**6, 10**9 + 1, 2**53 - 1, was + 1, -was)))
    if isinstance(was, str):
        return draw.choice(TIMES) if was[:2] == "20" else draw.choice(("0" * len(was), was[:-1], was[::-1], f"{was}9"))
    parts = list(was.items() if isinstance(was, dict) else was)
    kept = draw.choice(([], parts[1:], parts[:-1], parts[::-1]))
    return dict(kept) if isinstance(was, dict) else kept


def spots(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path to every value of a tree except the root."""
    inside = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in inside:
        yield (*path, key)
        yield from spots(value, (*path, key))


def changed(tree: Any, draw: Random, outside: Path, *, only: str | None = None) -> tuple[Any, str]:
    """Change one value of a copy of the tree; returns it with a description. With `only`, below that key."""
    tree = copy.deepcopy(tree)
    ways = list(spots(tree))
    ways = [way for way in ways if only in way] or ways
    if not ways or draw.random() < 0.04:
        value = odd(draw, outside)
        return value, f"all of it is {shown(value)}"
    *above, last = draw.choice(ways)
    place = tree
    for key in above:
        place = place[key]
    name = ".".join(map(str, (*above, last)))
    what = draw.choice(("other", "other", "other", "other", "within", "within", "gone", "more", "type", "wrapped"))
    if what == "gone":
        del place[last]
        return tree, f"{name} is gone"
    if what == "more" and isinstance(place, dict):
        key, value = draw.choice(("__class__", "id", "", "a.b", "\x1b[31m", "x" * 5_000, "extra")), odd(draw, outside)
        place[key] = value
        return tree, f"beside {name}: {shown(key)} = {shown(value)}"
    was = place[last]
    if what == "type":
        place[last] = [was] if isinstance(was, (str, dict)) else str(was)
    elif what == "wrapped":
        place[last] = {"value": was}
    elif what == "within":
        place[last] = within(was, draw)
    else:
        place[last] = odd(draw, outside)
    return tree, f"{name} = {shown(place[last])}"


def written(tree: Any, indent: int | None = None) -> bytes:
    """The tree as JSON, with the texts of RAW replaced."""
    text = json.dumps(tree, ensure_ascii=True, indent=indent)
    for mark, raw in RAW.items():
        text = text.replace(f'"{mark}"', raw)
    return text.encode()


def shown(value: Any) -> str:
    """A short description of a value in one line."""
    text = ascii(value)
    return text if len(text) < 90 else f"{text[:60]}…{len(text)}"
