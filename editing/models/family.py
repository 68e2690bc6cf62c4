"""One small declaration for each architecture: where its layers are, and the orientation of its weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from editflow.editing.errors import InvalidOption, UnknownFamily


@dataclass(frozen=True)
class Family:
    """What editing must know of an architecture; everything else comes from transformers.

    `layers` and `down_projection` are dotted paths below the base model and below one layer. `transposed`: the
    parameter is (d_in, d_out), as in GPT-2's Conv1D, where a Linear holds (d_out, d_in). The residual
    stream after a layer must be the layer's output and the down-projection must write into it unchanged, or through
    one norm, whose path below the layer is `norm_after`.
    `returns_tuple`: a layer returns (hidden states, attention weights) instead of the hidden states alone.
    `logit_cap` names the value c of the configuration under which the head's logits x become c · tanh(x / c).
    """

    name: str
    model_types: tuple[str, ...]
    layers: str
    down_projection: str
    transposed: bool = False
    returns_tuple: bool = False
    norm_after: str | None = None
    logit_cap: str | None = None


FAMILIES = (
    Family("llama", ("llama", "smollm3", "mistral", "qwen2", "qwen3", "gemma", "phi3"), "layers", "mlp.down_proj"),
    Family("gpt2", ("gpt2",), "h", "mlp.c_proj", transposed=True),
    Family("gptj", ("gptj",), "h", "mlp.fc_out", returns_tuple=True),
    Family("gpt_neox", ("gpt_neox",), "layers", "mlp.dense_4h_to_h"),
    Family("phi", ("phi",), "layers", "mlp.fc2"),
    Family(
        "gemma2",
        ("gemma2", "gemma3_text"),
        "layers",
        "mlp.down_proj",
        norm_after="post_feedforward_layernorm",
        logit_cap="final_logit_softcapping",
    ),
)

_REFUSED = {
    "gemma3": "reads images beside text, and its layers lie below a part of their own; edit the text model alone "
    "(model_type 'gemma3_text', as of Gemma 3 270M and 1B, or the language model saved by itself)",
}
"""Known architectures that cannot be declared: the reason, and what to do instead."""


def family_of(model_type: str) -> Family:
    """The family that declares transformers' `model_type`. Raises UnknownFamily, with what to declare."""
    for family in FAMILIES:
        if model_type in family.model_types:
            return family
    if model_type in _REFUSED:
        raise UnknownFamily(f"architecture {model_type!r} {_REFUSED[model_type]}")
    known = ", ".join(sorted(name for family in FAMILIES for name in family.model_types))
    raise UnknownFamily(
        f"architecture {model_type!r} has no declaration (declared: {known}); "
        "declare its model_type, the paths of its layers and down-projection, the weight's orientation, whether a "
        "layer returns a tuple, and norm_after and logit_cap where it has them, as a Family in editing/models/family.py"
    )


def check_target(family: Family, layers: Sequence[int], z_layer: int) -> None:
    """Raise InvalidOption where target values at `z_layer` do not say what the weights of `layers` must give.

    A norm after the down-projection makes a layer's part of a residual another than what its weight gives, so that no
    residual can be spread over layers: the edited one is the one that the target value was found for.
    """
    if family.norm_after is not None and list(layers) != [z_layer]:
        raise InvalidOption(
            f"edit.layers = {list(layers)} with edit.z_layer = {z_layer}: a layer of {family.name} normalises what its "
            "down-projection gives, so target values hold for that layer's down-projection alone and cannot be spread "
            f"over layers; edit one layer and find them there, such as edit.layers = [{z_layer}]"
        )
