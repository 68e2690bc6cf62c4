"""RECT: MEMIT's change, keeping only the entries that are large relative to the weight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from editflow.editing.editors.memit import moment_ridge
from editflow.editing.editors.method import ClosedForm
from editflow.editing.editors.options import MomentOptions, renamed
from editflow.editing.errors import InvalidOption

if TYPE_CHECKING:
    from torch import Tensor

    from editflow.editing.editors.layer_statistics import LayerStatistics
    from editflow.editing.linalg.projected_ridge import LowRank


@dataclass(frozen=True)
class RectOptions(MomentOptions):
    """Options of RECT."""

    keep_fraction: float = renamed(default=0.4, recipe="keep")
    """The share of a weight's entries that may change, above 0 to 1: those where |Δ / W| is largest."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.keep_fraction <= 1:
            raise InvalidOption(
                f"edit.keep_fraction = {self.keep_fraction}: choose a share above 0 (nothing) to 1 (everything)"
            )


def _keep_largest(change: LowRank, weight: Tensor, _statistics: LayerStatistics, options: RectOptions) -> Tensor:
    import torch

    from editflow.editing.linalg.change_filters import largest_relative

    W = weight.to("cpu", torch.float64)
    return (W + largest_relative(change.dense(), W, options.keep_fraction)).to(weight.dtype)


RECT = ClosedForm(
    name="rect",
    source="RECT (arXiv 2401.04700), the relative change in weight",
    about="MEMIT's change, of which only the share `keep_fraction` of entries with the largest |Δ / W| is written",
    solver=moment_ridge,
    needs=("second_moment",),
    options=RectOptions,
    step=_keep_largest,
)
