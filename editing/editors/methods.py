"""The registry of editing methods: the solver of each, and the post-processing of its changes.

A new method is one file with a `Method` and one line here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from editflow.editing.editors.alphaedit import ALPHAEDIT
from editflow.editing.editors.ft import FT
from editflow.editing.editors.memit import MEMIT
from editflow.editing.editors.method import Method
from editflow.editing.editors.options import MethodOptions
from editflow.editing.editors.prune import PRUNE
from editflow.editing.editors.rect import RECT
from editflow.editing.editors.rome import ROME
from editflow.editing.errors import InvalidOption

METHODS: dict[str, Method] = {method.name: method for method in (ALPHAEDIT, MEMIT, ROME, RECT, PRUNE, FT)}


def method(name: str) -> Method:
    """The method of that name, or InvalidOption with the names there are."""
    if name not in METHODS:
        raise InvalidOption(f"unknown method {name!r}: choose one of {', '.join(sorted(METHODS))}")
    return METHODS[name]


def options_of(name: str, given: Mapping[str, Any]) -> MethodOptions:
    """A method's options, its defaults where none is given. InvalidOption for one that is not its own."""
    chosen = method(name)
    for option in given:
        if option not in chosen.takes:
            owners = ", ".join(other for other, m in METHODS.items() if option in m.takes)
            raise InvalidOption(
                f"edit.{option} is no option of {name}: remove it, or set edit.method to one that takes it ({owners})"
            )
    return chosen.read(given)
