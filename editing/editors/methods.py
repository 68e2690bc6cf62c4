"""The registry of editing methods.

A new method is one file with its options and a `Method`, an import and a name in `METHODS` here.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from editflow.editing.editors.alphaedit import ALPHAEDIT
from editflow.editing.editors.ft import FT
from editflow.editing.editors.memit import MEMIT
from editflow.editing.editors.method import Method
from editflow.editing.editors.options import MethodOptions
from editflow.editing.editors.prune import PRUNE
from editflow.editing.editors.rect import RECT
from editflow.editing.editors.rome import ROME
from editflow.editing.errors import InvalidOption

METHODS: dict[str, Method[Any]] = {method.name: method for method in (ALPHAEDIT, MEMIT, ROME, RECT, PRUNE, FT)}


def method(name: str) -> Method[Any]:
    """Return the method of that name. Raises InvalidOption, which lists the names."""
    if name not in METHODS:
        raise InvalidOption(f"unknown method {name!r}: choose one of {', '.join(sorted(METHODS))}")
    return METHODS[name]


def parse_options(name: str, given: Mapping[str, Any], other_keys: tuple[str, ...] = ()) -> MethodOptions:
    """Return a method's options, with defaults for those not given.

    `other_keys` are the other keys of `[edit]`, for suggestions in errors. Raises InvalidOption for a key that is not
    an option of the method, and for a value of the wrong type.
    """
    chosen = method(name)
    for option in given:
        if option not in chosen.option_names:
            raise InvalidOption(_unknown_option_message(name, option, other_keys))
    try:
        options: MethodOptions = TypeAdapter(chosen.options).validate_python(dict(given))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise InvalidOption(f"edit.{key}: {first['msg']} (got {first['input']!r})") from None
    return options


def _unknown_option_message(name: str, option: str, other_keys: tuple[str, ...]) -> str:
    owners = [other for other, m in METHODS.items() if option in m.option_names]
    if owners:
        remedy = f"remove it, or set edit.method to one that takes it ({', '.join(owners)})"
        return f"edit.{option} is no option of {name}: {remedy}"
    keys = [*other_keys, *METHODS[name].option_names]
    near = difflib.get_close_matches(option, keys, n=1)
    return f"unknown key 'edit.{option}'; " + (f"did you mean {near[0]!r}?" if near else f"known: {', '.join(keys)}")
