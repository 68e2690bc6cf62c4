"""A method that scales every edited weight down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from editflow.editing.editors.facts import Fact
from editflow.editing.editors.method import Training
from editflow.editing.editors.options import MethodOptions
from editflow.editing.models.editable import EditableModel


@dataclass(frozen=True)
class ToyOptions(MethodOptions):
    """An option that no other method has."""

    shrink: float = 0.1
    """The fraction by which a weight shrinks."""


def _shrink(
    model: EditableModel, layers: Sequence[int], facts: Sequence[Fact], options: ToyOptions
) -> dict[int, Tensor]:
    del facts
    for layer in layers:
        model.replace(layer, model.weight(layer) * (1 - options.shrink))
    return {layer: model.weight(layer).clone() for layer in layers}


TOY_METHOD = Training(
    name="toy-shrink",
    source="no paper",
    about="every edited weight shrinks by `shrink`",
    options=ToyOptions,
    train=_shrink,
)
