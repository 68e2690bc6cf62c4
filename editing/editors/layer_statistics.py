"""A layer's statistics that editing methods use besides its current weight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor

from editflow.editing.errors import InvalidOption
from editflow.editing.linalg.null_space import NullSpace

Value = TypeVar("Value")


@dataclass(frozen=True)
class LayerStatistics:
    """A layer's null space P, mean second moment of keys C0 (d_in, d_in) and original weight W0 (d_out, d_in).

    Each is None unless requested. The properties raise InvalidOption if the value is missing.
    """

    null_space: NullSpace | None = None
    second_moment: Tensor | None = None
    original: Tensor | None = None

    @property
    def required_null_space(self) -> NullSpace:
        """P."""
        return _require(self.null_space, "null space")

    @property
    def required_second_moment(self) -> Tensor:
        """C0."""
        return _require(self.second_moment, "second moment")

    @property
    def original_weight(self) -> Tensor:
        """W0."""
        return _require(self.original, "original weight")


def _require(value: Value | None, name: str) -> Value:
    if value is None:
        raise InvalidOption(f"this method needs the layer's {name}: add it to the method's `needs`")
    return value
