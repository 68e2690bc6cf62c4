"""Post-processing of a solver's change before it is written; each step is a function of the layer's statistics."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from editflow.editing.editors.layer_statistics import LayerStatistics
from editflow.editing.editors.options import MethodOptions
from editflow.editing.linalg.change_filters import dominant_directions, without_directions
from editflow.editing.linalg.projected_ridge import LowRank

Change = LowRank | Tensor
"""Δ in its factors, or the whole new weight (d_out, d_in) in the weight's dtype."""


Step = Callable[[LowRank, Tensor, LayerStatistics, MethodOptions], Change]
"""(change, weight (d_out, d_in) as it is, what is known of the layer, options): another change, or the new weight."""


def filtered(change: LowRank, known: LayerStatistics, options: MethodOptions) -> LowRank:
    """Without what would act in the dominant singular directions of the weight as it came, where that is asked for."""
    return (
        without_directions(change, dominant_directions(known.original_weight, options.protected_energy))
        if options.protected_energy
        else change
    )


def projected(change: LowRank, known: LayerStatistics, options: MethodOptions) -> LowRank:
    """Δ P where the option asks for it: AlphaEdit's one line, on any method's change (arXiv 2410.02355, §3.2)."""
    return LowRank(change.left, known.required_null_space.project(change.right)) if options.projected else change
