"""Compares the output that a document shows with that of the command, except for differences between runs.

Ids, run ids and times may differ. Decimals may differ by 5 %, because other machines add in another order. Everything
else must be equal, word by word. A line `…` matches any lines, and `…` at the end of a line matches the rest of it.
"""

from __future__ import annotations

import math
import re

REST = "…"
_ID = r"\d{8}T\d{6}-[0-9a-f]{6}|\b[0-9a-f]{64}\b|\b(?=[0-9a-f]*\d)[0-9a-f]{12}\b"
_TIME = r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d[\d:.+]*)?"
_NUMBER = r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?"
_TOKEN = re.compile(rf"(?P<id>{_ID})|(?P<time>{_TIME})|(?P<number>{_NUMBER})|(?P<word>[^\W\d]+|\S)")

Token = tuple[str, str]
Names = dict[str, str]
"""{id that a document shows: id in this lake}"""


def difference(shown: str, real: str, names: Names) -> str:
    """Describe the first line that differs; empty if none does. Adds the ids that are shown to `names`."""
    wanted, found = _lines(shown), _lines(real)
    at, anywhere = 0, False
    for number, line in enumerate(wanted):
        if line == [("word", REST)]:
            anywhere = True
            continue
        places = range(at, len(found)) if anywhere else range(at, min(at + 1, len(found)))
        place = next((p for p in places if _same(line, found[p], names)), None)
        if place is None:
            return f"shown but not printed: {shown.strip().splitlines()[number]!r}"
        at, anywhere = place + 1, False
    if at < len(found) and not anywhere:
        return f"printed but not shown: {real.strip().splitlines()[at]!r}"
    return ""


def translated(command: str, names: Names, default: str = "") -> str:
    """A command with this lake's ids instead of those that the document shows; `default` for unknown ones."""
    return re.sub(_ID, lambda found: names.get(found[0], default or found[0]), command)


def _lines(text: str) -> list[list[Token]]:
    """The tokens of each line; numbers in a last column `seconds` and numbers before `s` are times."""
    lines: list[list[Token]] = []
    timed = False
    for line in text.strip().splitlines():
        tokens = [(str(token.lastgroup), token[0]) for token in _TOKEN.finditer(line)]
        timed = bool(tokens) and (timed or tokens[-1][1] == "seconds")
        for n, (kind, _) in enumerate(tokens):
            follows = tokens[n + 1][1] if n + 1 < len(tokens) else "s" if timed else ""
            if kind == "number" and follows == "s":
                tokens[n] = ("time", "")
        lines.append(tokens)
    return lines


def _same(shown: list[Token], real: list[Token], names: Names) -> bool:
    if shown and shown[-1] == ("word", REST):
        shown, real = shown[:-1], real[: len(shown) - 1]
    learned = dict(names)
    if len(shown) != len(real) or not all(_alike(a, b, learned) for a, b in zip(shown, real, strict=True)):
        return False
    names |= learned
    return True


def _alike(shown: Token, real: Token, names: Names) -> bool:
    (kind, a), (other, b) = shown, real
    if kind != other:
        return False
    if kind == "id":
        return len(a) == len(b) and names.setdefault(a, b) == b
    if kind == "number" and not (a.lstrip("-").isdigit() and b.lstrip("-").isdigit()):
        return math.isclose(float(a), float(b), rel_tol=0.05)
    return kind == "time" or a == b
