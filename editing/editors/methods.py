"""The registry of editing methods: how each holds what must stay at a layer.

A new method is one file with a `Method` and one line here.
"""

from __future__ import annotations

from editing.editors.alphaedit import ALPHAEDIT
from editing.editors.method import Method
from editing.errors import InvalidOption

METHODS: dict[str, Method] = {method.name: method for method in (ALPHAEDIT,)}


def method(name: str) -> Method:
    """The method of that name, or InvalidOption with the names there are."""
    if name not in METHODS:
        raise InvalidOption(f"unknown method {name!r}: choose one of {', '.join(sorted(METHODS))}")
    return METHODS[name]
