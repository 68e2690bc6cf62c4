"""Settings of a stage: a frozen dataclass next to the stage's function, and its form in a recipe.

An id is the hash of a recipe, so renaming a field requires its old name in the recipe (editing/editors/options.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, cast

from pydantic import TypeAdapter

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Settings = TypeVar("Settings", bound="DataclassInstance")
Recipe = Mapping[str, Any]
"""Settings as JSON."""


@dataclass(frozen=True)
class NoSettings:
    """For stages that depend on their parents only."""


def recipe(settings: DataclassInstance) -> Recipe:
    """Settings as a part of a recipe: the fields by name, without fields with metadata `added` at their default.

    A class that needs another form has its own methods `recipe` and `read`.
    """
    own = getattr(settings, "recipe", None)
    if own is not None:
        return cast("Recipe", own())
    named = {f.name: (getattr(settings, f.name), f) for f in fields(settings)}
    return {
        f.metadata.get("recipe", name): recipe(value) if is_dataclass(value) and not isinstance(value, type) else value
        for name, (value, f) in named.items()
        if not (f.metadata.get("added") and value == f.default)
    }


def read_settings(kind: type[Settings], recorded: Recipe) -> Settings:
    """The settings of a recorded recipe. Raises ValueError for a wrong shape, InvalidOption for an invalid value."""
    own = getattr(kind, "read", None)
    found: Settings = own(recorded) if own is not None else _adapter(kind).validate_python(dict(recorded))
    return found


@cache
def _adapter(kind: type[Settings]) -> TypeAdapter[Settings]:
    return TypeAdapter(kind)
