"""One padded row of tokens per prompt, and reading or nudging one layer's output; a full forward pass each time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


def padded(rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """(ids, mask), both (B, T): rows padded on the right with token 0."""
    width = max(len(row) for row in rows)
    ids = torch.tensor([[*row, *[0] * (width - len(row))] for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
    return ids, mask


def first(output: Any) -> Tensor:
    """A module's hidden states, whether it returns them alone or in a tuple."""
    hidden: Tensor = output if isinstance(output, Tensor) else output[0]
    return hidden


@contextmanager
def inputs_of(module: nn.Module) -> Iterator[list[Tensor]]:
    """Collect what a module receives."""
    seen: list[Tensor] = []
    handle = module.register_forward_pre_hook(lambda _module, args: seen.append(args[0]))
    try:
        yield seen
    finally:
        handle.remove()


class Stopped(Exception):
    """Raised to end a forward pass after the layer that was wanted."""


@contextmanager
def stopped_after(module: nn.Module) -> Iterator[None]:
    """End every forward pass in the block once the module has run."""

    def stop(*_: Any) -> None:
        raise Stopped

    handle = module.register_forward_hook(stop)
    try:
        yield
    finally:
        handle.remove()
