"""What a run knows about a layer besides its current weight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor

from editflow.editing.errors import InvalidOption
from editflow.editing.linalg.null_space import NullSpace

Known = TypeVar("Known")


@dataclass(frozen=True)
class LayerStatistics:
    """A layer's null space P, its keys' mean second moment C0 (d_in, d_in) and its original weight (d_out, d_in).

    Each is None if it was not requested; reading a missing one raises InvalidOption.
    """

    null_space: NullSpace | None = None
    second_moment: Tensor | None = None
    original: Tensor | None = None

    @property
    def required_null_space(self) -> NullSpace:
        """P."""
        return _there(self.null_space, "null space")

    @property
    def required_second_moment(self) -> Tensor:
        """C0."""
        return _there(self.second_moment, "second moment")

    @property
    def original_weight(self) -> Tensor:
        """W0."""
        return _there(self.original, "original weight")


def _there(value: Known | None, what: str) -> Known:
    if value is None:
        raise InvalidOption(f"this method needs the layer's {what}, which it was not given")
    return value
