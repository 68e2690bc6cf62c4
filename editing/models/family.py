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
    Family("llama", ("llama", "mistral", "qwen2", "qwen3", "gemma", "phi3"), "layers", "mlp.down_proj"),
    Family("gpt2", ("gpt2",), "h", "mlp.c_proj", transposed=True),
    Family("gptj", ("gptj",), "h", "mlp.fc_out", returns_tuple=True),
    Family("gpt_neox", ("gpt_neox",), "layers", "mlp.dense_4h_to_h"),
    Family("phi", ("phi",), "layers", "mlp.fc2"),
)

_NORM_AFTER = (
    "normalises what its down-projection gives before it joins the residual stream, so a target value for the layer's "
    "output is none for the down-projection; edit a model without that norm, such as Gemma 1, Llama or Qwen3"
)
_REFUSED = dict.fromkeys(("gemma2", "gemma3", "gemma3_text"), _NORM_AFTER)
"""Known architectures that cannot be declared: what stands in the way, and what to do instead."""


def families() -> Iterator[Family]:
    """Every declared family."""
    return iter(_FAMILIES)


def family_of(model_type: str) -> Family:
    """The family that declares transformers' `model_type`. Raises UnknownFamily, with what to declare."""
    for family in _FAMILIES:
        if model_type in family.model_types:
            return family
    if model_type in _REFUSED:
        raise UnknownFamily(f"architecture {model_type!r} {_REFUSED[model_type]}")
    known = ", ".join(sorted(name for family in _FAMILIES for name in family.model_types))
    raise UnknownFamily(
        f"architecture {model_type!r} has no declaration (declared: {known}); "
        "declare its model_type, the paths of its layers and down-projection, the weight's orientation and whether "
        "a layer returns a tuple as a Family in editing/models/family.py"
    )
