"""Padding of token rows, and forward passes that read hidden states."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn


def pad(rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """(ids, mask), each (B, T): the rows padded on the right with token 0."""
    width = max(len(row) for row in rows)
    ids = torch.tensor([[*row, *[0] * (width - len(row))] for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
    return ids, mask


def hidden_states(output: Any) -> Tensor:
    """The hidden states in a module's output, which may be a tuple."""
    hidden: Tensor = output if isinstance(output, Tensor) else output[0]
    return hidden


class _LayerReached(Exception):
    """Ends a forward pass after the last layer needed."""


def linear_inputs(model: Any, layer: nn.Module, linear: nn.Module, ids: Tensor, mask: Tensor) -> Tensor:
    """The inputs (B, T, d) of a layer's linear module, by a forward pass that ends after the layer."""
    seen: list[Tensor] = []

    def stop(*_: Any) -> None:
        raise _LayerReached

    handles = [linear.register_forward_pre_hook(lambda _module, args: seen.append(args[0])),
               layer.register_forward_hook(stop)]  # fmt: skip
    try:
        with suppress(_LayerReached):
            model(input_ids=ids, attention_mask=mask, use_cache=False)
    finally:
        for handle in handles:
            handle.remove()
    return seen[0]
