"""Settings of a stage: a frozen dataclass beside the stage's function, and its form in a recipe.

An id is the hash of a recipe, so the fields' names are the words that recipes have always had.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import TypeAdapter

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Settings = TypeVar("Settings", bound="DataclassInstance")


@dataclass(frozen=True)
class NoSettings:
    """For stages whose parents say everything."""


def recipe(settings: DataclassInstance) -> dict[str, Any]:
    """Settings as a part of a recipe: the fields by name, without `omitted` ones that have their default.

    A field that was renamed has its older name; see editing/editors/options.py.

    A class that needs another form has methods `recipe` and `read` of its own.
    """
    own = getattr(settings, "recipe", None)
    if own is not None:
        return dict(own())
    named = {f.name: (getattr(settings, f.name), f) for f in fields(settings)}
    return {
        f.metadata.get("recipe", name): recipe(value) if is_dataclass(value) and not isinstance(value, type) else value
        for name, (value, f) in named.items()
        if not (f.metadata.get("added") and value == f.default)
    }


def read_settings(kind: type[Settings], recorded: Mapping[str, Any]) -> Settings:
    """The settings of a recorded recipe. Raises ValueError for a recipe of another shape, InvalidOption for a value."""
    own = getattr(kind, "read", None)
    found: Settings = own(recorded) if own is not None else _adapter(kind).validate_python(dict(recorded))
    return found


@cache
def _adapter(kind: type[Settings]) -> TypeAdapter[Settings]:
    return TypeAdapter(kind)
