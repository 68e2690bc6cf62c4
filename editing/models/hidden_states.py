"""Outputs of chosen layers at the last token of prompts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack

import torch
from torch import Tensor

from editflow.editing.errors import InvalidOption, NonFinite
from editflow.editing.models.editable import EditableModel
from editflow.editing.models.forward import PaddedBatch, capture, run
from editflow.editing.models.tokens import encode


@torch.no_grad()
def hidden_states(
    model: EditableModel,
    prompts: Sequence[str],
    layers: Sequence[int],
    prompts_per_pass: int = 64,
    progress: Callable[[int], None] = lambda _prompts: None,
) -> dict[int, Tensor]:
    """Return {layer: (n, d)} in float64 on the CPU: the residual stream after the layer at each prompt's last token.

    Row i belongs to prompt i. It equals transformers' `hidden_states[layer + 1]`, except for the last layer, where
    transformers applies the final norm. One pass serves all layers and stops after the highest; prompts of similar
    length share it. `prompts_per_pass` changes only the last bits. Raises InvalidOption for a layer that the model does
    not have or a prompt without a token, and NonFinite.
    """
    wrong = [layer for layer in layers if not 0 <= layer < model.depth]
    if wrong or not layers:
        raise InvalidOption(f"hidden states of layers {wrong or 'none'}: choose from 0…{model.depth - 1}")
    ids = [encode(model.tokenizer, prompt)[0] for prompt in prompts]
    if not all(ids):
        raise InvalidOption(f"prompt {ids.index([])} is empty: give at least one token to read hidden states at")
    width = model.weight(0).shape[0]
    found = {layer: torch.empty(len(ids), width, dtype=torch.float64) for layer in layers}
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    for start in range(0, len(order), prompts_per_pass):
        part = order[start : start + prompts_per_pass]
        for layer, states in _last_states(model, [ids[i] for i in part], layers).items():
            found[layer][part] = states
        progress(len(part))
    return found


def _last_states(model: EditableModel, ids: Sequence[list[int]], layers: Sequence[int]) -> dict[int, Tensor]:
    rows = PaddedBatch.pad(ids, model.device)
    with ExitStack() as stack:
        seen = {layer: stack.enter_context(capture(model.layers[layer], inputs=False)) for layer in layers}
        run(model, rows, last=max(layers))
    last = (torch.arange(len(ids), device=model.device), rows.lengths - 1)
    states = {layer: seen[layer][0][last].to("cpu", torch.float64) for layer in layers}
    for layer, found in states.items():
        if not bool(torch.isfinite(found).all()):
            raise NonFinite(f"a hidden state of layer {layer} is not finite: check the model's weights and dtype")
    return states
