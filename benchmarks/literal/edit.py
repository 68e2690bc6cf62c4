"""One batch of the published procedure with its evaluation: z*, keys and residuals layer by layer, dense solves."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.literal.evaluation import score
from benchmarks.literal.rows import Stopped, first, inputs_of, padded, stopped_after
from benchmarks.literal.statistics import update
from benchmarks.literal.target_values import Question, Settings, target_value


@dataclass(frozen=True)
class Edited:
    """What a batch goes through: `layers` with their linear modules, the last of them the z layer; P and C by layer."""

    layers: Sequence[nn.Module]
    linears: Sequence[nn.Linear]
    projectors: Sequence[Tensor]
    earlier: list[Tensor]
    ridge: float


@torch.no_grad()
def mean_key(model: Any, layer: nn.Module, linear: nn.Module, fact: Question) -> Tensor:
    """Key (d,) of a fact: a pass over its contexts; half the plain prompt, half the others."""
    ids, mask = padded(fact.contexts)
    with inputs_of(linear) as seen, stopped_after(layer), suppress(Stopped):
        model(input_ids=ids, attention_mask=mask, use_cache=False)
    keys = seen[0][torch.arange(len(ids)), torch.tensor(fact.lookups)].double()
    return (keys[0] + keys[1:].mean(0)) / 2


@torch.no_grad()
def z_now(model: Any, layer: nn.Module, fact: Question) -> Tensor:
    """The z layer's output (d,) at the plain prompt's subject."""
    found: list[Tensor] = []
    handle = layer.register_forward_hook(lambda _m, _a, output: found.append(first(output)))
    try:
        ids, mask = padded(fact.contexts[:1])
        model(input_ids=ids, attention_mask=mask, use_cache=False)
    finally:
        handle.remove()
    return found[0][0, fact.lookups[0]].double()


def edit(model: Any, where: Edited, facts: Sequence[Question], settings: Settings) -> None:
    """AlphaEdit's batch (arXiv 2410.02355, eq. 14): z* one by one, then each layer takes its share of the residual."""
    targets = torch.stack([target_value(model, where.layers[-1], fact, settings).z for fact in facts]).double()
    for i, (layer, linear) in enumerate(zip(where.layers, where.linears, strict=True)):
        keys = torch.stack([mean_key(model, layer, linear, fact) for fact in facts], dim=1)
        now = torch.stack([z_now(model, where.layers[-1], fact) for fact in facts])
        residual = (targets - now).T / (len(where.layers) - i)
        change = update(residual, keys, where.earlier[i], where.projectors[i], where.ridge)
        with torch.no_grad():
            linear.weight += change.to(linear.weight.dtype)
    for i, (layer, linear) in enumerate(zip(where.layers, where.linears, strict=True)):
        keys = torch.stack([mean_key(model, layer, linear, fact) for fact in facts], dim=1)
        where.earlier[i] += keys @ keys.T


def evaluate(model: Any, asked: Sequence[tuple[list[int], list[int], list[int]]]) -> list[bool]:
    """For each (prompt, new, true) whether the new target is the likelier one; one pair at a time."""
    return [score(model, prompt, new)[0] < score(model, prompt, true)[0] for prompt, new, true in asked]
