"""The modes in which questions are asked, and the length of a generated answer. Imports no torch: specs read it too."""

from __future__ import annotations

from collections.abc import Sequence

from editflow.editing.errors import InvalidOption

WAYS = ("likelihood", "generation")
TOKENS = 8
"""Tokens that a model may generate: enough for any option after a line break or two."""


def check_ways(ways: Sequence[str]) -> None:
    """Raise InvalidOption unless these are one or both of WAYS."""
    wrong = [way for way in ways if way not in WAYS]
    if wrong or not ways or len({*ways}) != len(ways):
        raise InvalidOption(f"ways of asking {list(ways)}: choose one or both of {', '.join(WAYS)}")
