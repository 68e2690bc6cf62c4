"""A method: every edited weight shrinks by a share."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from editflow.editing.editors.facts import Fact
from editflow.editing.editors.method import Training
from editflow.editing.editors.options import MethodOptions
from editflow.editing.models.editable import EditableModel


def _shrink(
    model: EditableModel, layers: Sequence[int], facts: Sequence[Fact], options: MethodOptions
) -> dict[int, Tensor]:
    del facts
    for layer in layers:
        model.replace(layer, model.weight(layer) * (1 - options.max_change))
    return {layer: model.weight(layer).clone() for layer in layers}


TOY_METHOD = Training(
    name="toy-shrink",
    source="no paper",
    about="every edited weight shrinks by `max_change`",
    options=("max_change",),
    train=_shrink,
)
