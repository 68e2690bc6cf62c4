"""One batch of edits: the loop over layers that all locate-then-edit methods share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from editflow.editing.editors.facts import Fact
from editflow.editing.editors.keys import KeyWalk
from editflow.editing.editors.target_values import TargetValue
from editflow.editing.errors import NonFinite
from editflow.editing.linalg.projected_ridge import LowRank
from editflow.editing.models.editable import EditableModel
from editflow.editing.models.family import check_target

Finish = Callable[[int, LowRank, Tensor], LowRank | Tensor]
"""(layer, change, current weight) to the written update: a low-rank change, or the whole new weight."""


class Solver(Protocol):
    """What a method does at one layer: hold what must stay, and turn residuals at keys into a weight change."""

    def extend(self, keys: Tensor) -> None:
        """Take keys (d_in, n) of an earlier batch into what must stay."""

    def update(self, residuals: Tensor, keys: Tensor) -> LowRank:
        """Δ for residuals (d_out, n) at keys (d_in, n), which then count as earlier ones."""


@dataclass(frozen=True)
class LayerEdit:
    """What a batch did to one layer: its keys (d_in, n) and its down-projection's change, or that whole new weight."""

    keys: Tensor
    change: LowRank | Tensor


@torch.no_grad()
def edit_batch(
    model: EditableModel,
    facts: Sequence[Fact],
    values: Sequence[TargetValue],
    solvers: Mapping[int, Solver],
    z_layer: int,
    finish: Finish = lambda _layer, change, _weight: change,
) -> dict[int, LayerEdit]:
    """Edit the model in place, layers ascending (MEMIT, arXiv 2210.07229, algorithm 1).

    For each layer: keys with the weights as they are now, residual of z* from the z layer's current output spread over
    the layers left, solve, `finish`, write. `values` are in the order of `facts`. A layer's own and later updates do
    not change its keys, so those returned are the ones later batches must preserve. Raises InvalidOption for several
    layers of a model that allows one (see check_target), and NonFinite.
    """
    layers = sorted(solvers)
    check_target(model.family, layers, z_layer)
    walk = KeyWalk(model, facts, layers[0])
    targets = torch.stack([value.z for value in values], dim=1).to(torch.float64)
    edits: dict[int, LayerEdit] = {}
    for place, layer in enumerate(layers):
        if place:
            walk.climb(layer)
        keys = walk.keys()
        residuals = (targets - walk.outputs(z_layer)) / (len(layers) - place)
        change = finish(layer, solvers[layer].update(residuals, keys), model.weight(layer))
        model.write(layer, change)
        _require_finite(model.weight(layer), layer)
        edits[layer] = LayerEdit(keys, change)
    return edits


def _require_finite(weight: Tensor, layer: int) -> None:
    if not bool(torch.isfinite(weight).all()):
        raise NonFinite(
            f"layer {layer}'s weight is not finite after the update: check its dtype, lower clamp or raise ridge"
        )
