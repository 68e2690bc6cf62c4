"""PRUNE: MEMIT's changes, with the singular values of their sum limited relative to the original weight."""

import torch
from torch import Tensor

from editflow.editing.editors.layer_statistics import LayerStatistics
from editflow.editing.editors.memit import OPTIONS, moment_ridge
from editflow.editing.editors.method import ClosedForm
from editflow.editing.editors.options import MethodOptions
from editflow.editing.linalg.change_filters import limited_singular_values
from editflow.editing.linalg.projected_ridge import LowRank


def _restrain(change: LowRank, weight: Tensor, known: LayerStatistics, options: MethodOptions) -> Tensor:
    """W0 + F(W + Δ − W0), in float64 and rounded once; the published method does this once, after the last edit."""
    W0 = known.original_weight.to("cpu", torch.float64)
    total = weight.to("cpu", torch.float64) + change.dense() - W0
    largest = float(torch.linalg.matrix_norm(W0, ord=2))
    return (W0 + limited_singular_values(total, largest, options.log_base)).to(weight.dtype)


PRUNE = ClosedForm(
    name="prune",
    source="PRUNE (arXiv 2405.16821), the function F of singular values",
    about="MEMIT's change; the singular values of all changes together are held down to the weight's largest",
    solver=moment_ridge,
    needs=("second_moment",),
    options=(*OPTIONS, "log_base"),
    step=_restrain,
)
