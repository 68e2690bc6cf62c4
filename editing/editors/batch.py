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
"""From (layer, change, current weight) to the update to write: a low-rank change, or the whole new weight."""


class Solver(Protocol):
    """A method's solver for one layer. It remembers the keys to preserve and turns residuals into a weight change."""

    def extend(self, keys: Tensor) -> None:
        """Add keys (d_in, n) of an earlier batch to the keys to preserve."""

    def update(self, residuals: Tensor, keys: Tensor) -> LowRank:
        """Return Δ for residuals (d_out, n) at keys (d_in, n), then add these keys to the keys to preserve."""


@dataclass(frozen=True)
class LayerEdit:
    """One layer's edit: its keys (d_in, n), and its down-projection's change or whole new weight."""

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

    For each layer: read keys with the current weights, divide the distance from the z layer's output to z* by the
    number of remaining layers, solve, `finish`, write. `values` are in the order of `facts`. A layer's keys do not
    depend on its own or later updates, so later batches must preserve exactly the returned keys. Raises InvalidOption
    for several layers of a model that allows only one (see check_target), and NonFinite.
    """
    layers = sorted(solvers)
    check_target(model.family, layers, z_layer)
    walk = KeyWalk(model, facts, layers[0])
    targets = torch.stack([value.z for value in values], dim=1).to(torch.float64)
    edits: dict[int, LayerEdit] = {}
    for index, layer in enumerate(layers):
        if index:
            walk.advance(layer)
        keys = walk.keys()
        residuals = (targets - walk.outputs(z_layer)) / (len(layers) - index)
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
