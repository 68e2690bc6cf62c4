"""Post-processing of a solver's change, available to every closed form."""

from __future__ import annotations

from torch import Tensor

from editflow.editing.editors.layer_statistics import LayerStatistics
from editflow.editing.linalg.change_filters import dominant_directions, without_directions
from editflow.editing.linalg.projected_ridge import LowRank

Change = LowRank | Tensor
"""Δ as factors, or the whole new weight (d_out, d_in) in the weight's dtype."""


def filter_change(change: LowRank, statistics: LayerStatistics, share: float) -> LowRank:
    """Remove the dominant singular directions of the original weight that hold `share` of its energy."""
    return without_directions(change, dominant_directions(statistics.original_weight, share)) if share else change


def project_change(change: LowRank, statistics: LayerStatistics) -> LowRank:
    """Return Δ P, AlphaEdit's projection applied to any method's change (arXiv 2410.02355, §3.2)."""
    return LowRank(change.left, statistics.required_null_space.project(change.right))
