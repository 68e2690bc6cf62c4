"""The modes in which questions are asked, and the length of a generated answer. Imports no torch: specs read it too."""

from __future__ import annotations

from collections.abc import Sequence

from editflow.editing.errors import InvalidOption

MODES = ("likelihood", "generation")
TOKENS = 8
"""Maximum number of generated tokens: enough for any option after a line break or two."""


def check_modes(modes: Sequence[str]) -> None:
    """Raise InvalidOption unless these are one or both of MODES."""
    wrong = [mode for mode in modes if mode not in MODES]
    if wrong or not modes or len({*modes}) != len(modes):
        raise InvalidOption(f"modes {list(modes)}: choose one or both of {', '.join(MODES)}")
