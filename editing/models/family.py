"""Declarations of architectures: the path of their layers and the orientation of their weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from editflow.editing.errors import InvalidOption, UnknownFamily


@dataclass(frozen=True)
class Family:
    """The facts about an architecture that editing needs and transformers does not provide.

    `layers` and `down_projection` are dotted paths below the base model and below one layer. `transposed`: the
    parameter is (d_in, d_out), as in GPT-2's Conv1D; a Linear has (d_out, d_in). A layer's output must be the residual
    stream. The down-projection must write into it directly, or through one norm with the path `norm_after` below the
    layer. `returns_tuple`: a layer returns (hidden states, attention weights) instead of the hidden states alone.
    `logit_cap` is the configuration's name for c if the head's logits x are capped to c · tanh(x / c).
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
    "gemma3": "reads images and has its layers in a submodel, which is not supported; use the text model alone "
    "(model_type 'gemma3_text', such as Gemma 3 270M and 1B, or the language model saved by itself)",
}
"""Known architectures that cannot be declared, with the reason and the remedy."""


def family_of(model_type: str) -> Family:
    """Return the family that declares transformers' `model_type`. Raises UnknownFamily, which says what to declare."""
    for family in FAMILIES:
        if model_type in family.model_types:
            return family
    if model_type in _REFUSED:
        raise UnknownFamily(f"architecture {model_type!r} {_REFUSED[model_type]}")
    known = ", ".join(sorted(name for family in FAMILIES for name in family.model_types))
    raise UnknownFamily(
        f"architecture {model_type!r} has no declaration (declared: {known}); "
        "add a Family to editing/models/family.py with its model_type, the paths of its layers and down-projection, "
        "the weight's orientation, whether a layer returns a tuple, and norm_after and logit_cap if it has them"
    )


def check_target(family: Family, layers: Sequence[int], z_layer: int) -> None:
    """Raise InvalidOption if target values at `z_layer` cannot be written by `layers`.

    If a norm follows the down-projection, what a layer adds to the residual stream differs from its down-projection's
    output, so a residual cannot be spread over layers: the only edited layer must be the z layer.
    """
    if family.norm_after is not None and list(layers) != [z_layer]:
        raise InvalidOption(
            f"edit.layers = {list(layers)} with edit.z_layer = {z_layer}: a layer of {family.name} normalises its "
            "down-projection's output, so a target value applies to that layer and cannot be spread over several; "
            f"edit one layer and use it as z layer, such as edit.layers = [{z_layer}]"
        )
