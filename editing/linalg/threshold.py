"""The threshold below which eigenvalues count as null. Imports no torch, because specs read it too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from editflow.editing.errors import InvalidOption

if TYPE_CHECKING:
    from torch import Tensor

Rule = Literal["absolute", "energy", "rank"]


@dataclass(frozen=True)
class Threshold:
    """The rule for how many of the smallest eigenvalues count as zero.

    absolute: those below `value`, as in the paper (1e-2; its published code uses 2e-2).
    energy:   as many as sum to at most the share `value` of the trace; does not depend on the scale of activations.
    rank:     the share `value` of the width d.
    """

    rule: Rule = "absolute"
    """What `value` means."""
    value: float = 2e-2
    """A larger value leaves more directions to edits and protects less."""

    # pydantic reads this to validate a spec; the text below a field is its description in docs/commands.md.
    __pydantic_config__ = {"extra": "forbid", "allow_inf_nan": False, "use_attribute_docstrings": True}  # noqa: RUF012

    def __post_init__(self) -> None:
        if self.value <= 0 or (self.rule != "absolute" and self.value > 1):
            raise InvalidOption(
                f"threshold {self.value} with rule {self.rule!r}: choose a value above 0 for absolute, and a share "
                "above 0 and at most 1 for energy and rank"
            )

    def rank(self, eigenvalues: Tensor) -> int:
        """r, the dimension of the null space, for ascending `eigenvalues` (d,)."""
        if self.rule == "absolute":
            return int((eigenvalues < self.value).sum())
        if self.rule == "rank":
            return round(self.value * len(eigenvalues))
        share = eigenvalues.cumsum(0) / eigenvalues.sum()
        return int((share <= self.value).sum())
