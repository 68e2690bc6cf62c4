"""Reads and changes hidden states of one row in a causal language model: a full forward pass each, without a cache.

transformers 5's decoder layers return a tensor, other modules a tuple whose first member is the hidden state.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


def row_logits(model: nn.Module, ids: Sequence[int]) -> Tensor:
    """Float64 logits (len(ids), vocabulary) of one unpadded row, from token 0 and without a cache."""
    if model.training:
        raise ValueError("the model is in training mode, so dropout may be on: call model.eval() first")
    device = next(model.parameters()).device
    row = torch.tensor([list(ids)], dtype=torch.long, device=device)
    logits: Tensor = model(input_ids=row, use_cache=False).logits[0]
    return logits.double()


def _hidden(output: Any) -> Tensor:
    """A module's hidden states: itself in transformers 5's decoder layers, the first of a tuple elsewhere."""
    hidden: Tensor = output[0] if isinstance(output, tuple) else output
    return hidden


@contextmanager
def added(module: nn.Module, position: int, delta: Tensor) -> Iterator[None]:
    """While open, δ (d,) is added to `module`'s output at one position of its one row."""

    def hook(_module: nn.Module, _args: Any, output: Any) -> Any:
        hidden = _hidden(output).clone()
        if not 0 <= position < hidden.shape[1]:
            raise ValueError(f"position {position} is outside a row of {hidden.shape[1]} tokens")
        hidden[0, position] = hidden[0, position] + delta.to(hidden.dtype)
        return (hidden, *output[1:]) if isinstance(output, tuple) else hidden

    handle = module.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


@torch.no_grad()
def layer_output(model: nn.Module, module: nn.Module, ids: Sequence[int]) -> Tensor:
    """`module`'s output for one row, float64 (len(ids), d)."""
    seen: list[Tensor] = []
    handle = module.register_forward_hook(lambda _m, _args, output: seen.append(_hidden(output)[0].double()))
    try:
        row_logits(model, ids)
    finally:
        handle.remove()
    return seen[0].clone()


@torch.no_grad()
def linear_inputs(model: nn.Module, linear: nn.Module, ids: Sequence[int]) -> Tensor:
    """The keys of one row, the inputs of `linear`: float64 (len(ids), d_in)."""
    seen: list[Tensor] = []
    handle = linear.register_forward_pre_hook(lambda _m, args: seen.append(args[0][0].double()))
    try:
        row_logits(model, ids)
    finally:
        handle.remove()
    return seen[0].clone()
