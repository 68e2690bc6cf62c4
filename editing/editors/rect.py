"""RECT: keeps only the entries of MEMIT's change that are large relative to the weight."""

import torch
from torch import Tensor

from editflow.editing.editors.layer_statistics import LayerStatistics
from editflow.editing.editors.memit import OPTIONS, moment_ridge
from editflow.editing.editors.method import ClosedForm
from editflow.editing.editors.options import MethodOptions
from editflow.editing.linalg.change_filters import largest_relative
from editflow.editing.linalg.projected_ridge import LowRank


def _keep_largest(change: LowRank, weight: Tensor, _known: LayerStatistics, options: MethodOptions) -> Tensor:
    W = weight.to("cpu", torch.float64)
    return (W + largest_relative(change.dense(), W, options.keep_fraction)).to(weight.dtype)


RECT = ClosedForm(
    name="rect",
    source="RECT (arXiv 2401.04700), the relative change in weight",
    about="MEMIT's change, of which only the share `keep_fraction` of entries with the largest |Δ / W| is written",
    solver=moment_ridge,
    needs=("second_moment",),
    options=(*OPTIONS, "keep_fraction"),
    step=_keep_largest,
)
