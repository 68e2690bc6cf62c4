"""z* of one fact at a time: MEMIT's `compute_z` (arXiv 2210.07229; ROME, arXiv 2202.05262, eq. 4) as its paper has it.

Every step runs the whole model from token 0 over all context prompts and the KL prompt, with the head at all positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.literal.rows import first, padded


@dataclass(frozen=True)
class Question:
    """A fact as token rows: contexts without target (the plain prompt first), and where the subject ends in each."""

    contexts: list[list[int]]
    lookups: list[int]
    target: list[int]
    essence: list[int]
    essence_lookup: int


@dataclass(frozen=True)
class Found:
    """z* (d,), the loss at the last evaluation, and how many there were."""

    z: Tensor
    loss: float
    steps: int


@dataclass(frozen=True)
class Settings:
    """Adam's rate, evaluations at most, early stop, clamp, weight decay and KL factor."""

    learning_rate: float
    steps: int
    stop_at: float
    clamp: float
    weight_decay: float
    kl: float


def target_value(model: Any, layer: nn.Module, fact: Question, settings: Settings) -> Found:
    """Optimise δ at the layer's output, at the subject's last token of every row."""
    ids, mask = padded([*[[*row, *fact.target[:-1]] for row in fact.contexts], fact.essence])
    lookups = torch.tensor([*fact.lookups, fact.essence_lookup])
    places = torch.arange(len(lookups))
    wanted = torch.full(ids.shape, -100)
    for i, row in enumerate(fact.contexts):
        start = len(row) - 1
        wanted[i, start : start + len(fact.target)] = torch.tensor(fact.target)
    delta = torch.zeros(model.config.hidden_size, dtype=model.dtype, requires_grad=True)
    h: list[Tensor] = []

    def nudge(_module: nn.Module, _args: Any, output: Any) -> Any:
        hidden = first(output).clone()
        if not h:
            h.append(hidden[0, lookups[0]].detach().clone())
        hidden[places, lookups] += delta
        return hidden if isinstance(output, Tensor) else (hidden, *output[1:])

    adam = torch.optim.Adam([delta], lr=settings.learning_rate)
    base: Tensor | None = None
    handle = layer.register_forward_hook(nudge)
    try:
        for step in range(1, settings.steps + 1):
            adam.zero_grad()
            logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits
            log_probs = logits.log_softmax(-1)
            edited = log_probs[-1, lookups[-1]]
            if base is None:
                base = edited.detach().clone()
            chosen = log_probs[:-1].gather(2, wanted[:-1].clamp_min(0)[:, :, None])[:, :, 0]
            nll = -(chosen * (wanted[:-1] != -100)).sum(1).mean() / len(fact.target)
            kl = (edited.exp() * (edited - base)).sum()
            loss = nll + settings.kl * kl + settings.weight_decay * delta.norm() / h[0].norm() ** 2
            if loss < settings.stop_at or step == settings.steps:
                break
            loss.backward()
            adam.step()
            limit = settings.clamp * h[0].norm()
            if delta.norm() > limit:
                with torch.no_grad():
                    delta.mul_(limit / delta.norm())
    finally:
        handle.remove()
    return Found(h[0] + delta.detach(), float(loss.detach()), step)


def target_values(model: Any, layer: nn.Module, facts: Sequence[Question], settings: Settings) -> list[Found]:
    """One fact after the other."""
    return [target_value(model, layer, fact, settings) for fact in facts]
