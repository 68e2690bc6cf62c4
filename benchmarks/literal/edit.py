"""One batch of the published procedure and its evaluation: z*, then keys, residuals and dense solves per layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.literal.evaluation import score
from benchmarks.literal.passes import hidden_states, linear_inputs, pad
from benchmarks.literal.statistics import update
from benchmarks.literal.target_values import FactTokens, Settings, target_value


@dataclass(frozen=True)
class EditContext:
    """The edited layers with their linear modules, P and C; the last layer is the z layer."""

    layers: Sequence[nn.Module]
    linears: Sequence[nn.Linear]
    projectors: Sequence[Tensor]
    earlier: list[Tensor]
    ridge: float


@torch.no_grad()
def mean_key(model: Any, layer: nn.Module, linear: nn.Module, fact: FactTokens) -> Tensor:
    """The key (d,) of a fact: the mean of the plain prompt's key and the mean key of the other contexts."""
    ids, mask = pad(fact.contexts)
    inputs = linear_inputs(model, layer, linear, ids, mask)
    keys = inputs[torch.arange(len(ids)), torch.tensor(fact.lookups)].double()
    return (keys[0] + keys[1:].mean(0)) / 2


@torch.no_grad()
def current_z(model: Any, layer: nn.Module, fact: FactTokens) -> Tensor:
    """The z layer's output (d,) at the plain prompt's subject."""
    found: list[Tensor] = []
    handle = layer.register_forward_hook(lambda _m, _a, output: found.append(hidden_states(output)))
    try:
        ids, mask = pad(fact.contexts[:1])
        model(input_ids=ids, attention_mask=mask, use_cache=False)
    finally:
        handle.remove()
    return found[0][0, fact.lookups[0]].double()


def edit(model: Any, context: EditContext, facts: Sequence[FactTokens], settings: Settings) -> None:
    """Edit a batch by AlphaEdit (arXiv 2410.02355, eq. 14): z* per fact, then a share of the residual per layer."""
    targets = torch.stack([target_value(model, context.layers[-1], fact, settings).z for fact in facts]).double()
    for i, (layer, linear) in enumerate(zip(context.layers, context.linears, strict=True)):
        keys = torch.stack([mean_key(model, layer, linear, fact) for fact in facts], dim=1)
        current = torch.stack([current_z(model, context.layers[-1], fact) for fact in facts])
        residual = (targets - current).T / (len(context.layers) - i)
        change = update(residual, keys, context.earlier[i], context.projectors[i], context.ridge)
        with torch.no_grad():
            linear.weight += change.to(linear.weight.dtype)
    for i, (layer, linear) in enumerate(zip(context.layers, context.linears, strict=True)):
        keys = torch.stack([mean_key(model, layer, linear, fact) for fact in facts], dim=1)
        context.earlier[i] += keys @ keys.T


def evaluate(model: Any, probes: Sequence[tuple[list[int], list[int], list[int]]]) -> list[bool]:
    """For each (prompt, new, true), whether the new target is more likely; two forward passes each."""
    return [score(model, prompt, new)[0] < score(model, prompt, true)[0] for prompt, new, true in probes]
