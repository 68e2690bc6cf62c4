"""Post-processing of a solver's change that every closed form can ask for."""

from __future__ import annotations

from torch import Tensor

from editflow.editing.editors.layer_statistics import LayerStatistics
from editflow.editing.linalg.change_filters import dominant_directions, without_directions
from editflow.editing.linalg.projected_ridge import LowRank

Change = LowRank | Tensor
"""Δ in its factors, or the whole new weight (d_out, d_in) in the weight's dtype."""


def filtered(change: LowRank, known: LayerStatistics, share: float) -> LowRank:
    """The change without the dominant singular directions of the original weight that hold `share` of its energy."""
    return without_directions(change, dominant_directions(known.original_weight, share)) if share else change


def projected(change: LowRank, known: LayerStatistics) -> LowRank:
    """Δ P: AlphaEdit's projection, on any method's change (arXiv 2410.02355, §3.2)."""
    return LowRank(change.left, known.required_null_space.project(change.right))
