"""PRUNE: MEMIT's change, with the singular values of the total change limited relative to the original weight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from editflow.editing.editors.memit import moment_ridge
from editflow.editing.editors.method import ClosedForm
from editflow.editing.editors.options import MomentOptions
from editflow.editing.errors import InvalidOption

if TYPE_CHECKING:
    from torch import Tensor

    from editflow.editing.editors.layer_statistics import LayerStatistics
    from editflow.editing.linalg.projected_ridge import LowRank


@dataclass(frozen=True)
class PruneOptions(MomentOptions):
    """Options of PRUNE."""

    log_base: float = 1.2
    """The base, above 1, of the logarithm that limits singular values above the weight's largest; a larger base
    limits more."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.log_base <= 1:
            raise InvalidOption(f"edit.log_base = {self.log_base}: must be above 1; a larger one limits more")


def _limit_total_change(change: LowRank, weight: Tensor, statistics: LayerStatistics, options: PruneOptions) -> Tensor:
    """W0 + F(W + Δ − W0), in float64 and rounded once; the published method does this once, after the last edit."""
    import torch

    from editflow.editing.linalg.change_filters import limited_singular_values

    W0 = statistics.original_weight.to("cpu", torch.float64)
    total = weight.to("cpu", torch.float64) + change.dense() - W0
    largest = float(torch.linalg.matrix_norm(W0, ord=2))
    return (W0 + limited_singular_values(total, largest, options.log_base)).to(weight.dtype)


PRUNE = ClosedForm(
    name="prune",
    source="PRUNE (arXiv 2405.16821), the function F of singular values",
    about="MEMIT's change; the singular values of the total change are limited by the weight's largest one",
    solver=moment_ridge,
    needs=("second_moment",),
    options=PruneOptions,
    step=_limit_total_change,
)
