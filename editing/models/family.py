"""One small declaration per architecture: where the layers are and which way round a weight is stored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from editing.errors import UnknownFamily


@dataclass(frozen=True)
class Family:
    """What editing must know of an architecture; everything else comes from transformers.

    `layers` and `down_projection` are dotted paths below the base model and below one layer. `transposed` says that the
    parameter is (d_in, d_out), as in GPT-2's Conv1D, where a Linear holds (d_out, d_in). The residual
    stream after a layer must be the layer's output and the down-projection must write into it unchanged.
    `returns_tuple` says that a layer hands on (hidden states, attention weights) instead of the hidden states alone.
    """

    name: str
    model_types: tuple[str, ...]
    layers: str
    down_projection: str
    transposed: bool = False
    returns_tuple: bool = False


_FAMILIES = (
    Family("llama", ("llama", "mistral", "qwen2"), "layers", "mlp.down_proj"),
    Family("gpt2", ("gpt2",), "h", "mlp.c_proj", transposed=True),
    Family("gptj", ("gptj",), "h", "mlp.fc_out", returns_tuple=True),
)


def families() -> Iterator[Family]:
    """Every declared family."""
    return iter(_FAMILIES)


def family_of(model_type: str) -> Family:
    """The family that declares transformers' `model_type`."""
    for family in _FAMILIES:
        if model_type in family.model_types:
            return family
    known = ", ".join(sorted(name for family in _FAMILIES for name in family.model_types))
    raise UnknownFamily(
        f"architecture {model_type!r} has no declaration (declared: {known}); "
        "declare its model_type, the paths of its layers and down-projection and the weight's orientation "
        "as a Family in editing/models/family.py"
    )
