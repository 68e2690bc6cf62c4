"""Target values scaled back to the norm of the unedited model's hidden states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from editflow.editing.editors.facts import Fact
from editflow.editing.editors.keys import KeyWalk
from editflow.editing.editors.target_values import TargetValue
from editflow.editing.models.editable import EditableModel


@torch.no_grad()
def reference_norms(model: EditableModel, facts: Sequence[Fact], z_layer: int) -> Tensor:
    """Return ‖h‖ (n,) float64 of the z layer's output at the subject in each fact's plain prompt."""
    norms: Tensor = KeyWalk(model, facts, 0).outputs(z_layer).norm(dim=0)
    return norms


def rescale_to_norms(values: Sequence[TargetValue], norms: Tensor) -> list[TargetValue]:
    """Return z* ‖h‖ / ‖z*‖ with the unedited model's ‖h‖ (n,), after Norm-Anchor Scaling (arXiv 2602.02543).

    The published code rescales only the MLP's part of z*, and to one mean length for all facts.
    Each batch lengthens the hidden states that the next batch starts from; the norms of the base model prevent z*
    from growing with them.
    """
    return [
        replace(value, z=value.z * (norm / value.z.norm())) for value, norm in zip(values, norms.tolist(), strict=True)
    ]
