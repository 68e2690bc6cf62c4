"""z* of one fact at a time: MEMIT's `compute_z` as in the papers (arXiv 2210.07229; ROME, arXiv 2202.05262, eq. 4).

Every step runs the whole model from token 0 over all context prompts and the KL prompt, with the head at all positions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.literal.passes import hidden_states, pad


@dataclass(frozen=True)
class FactTokens:
    """A tokenised fact: contexts without the target (the plain prompt first), and the subject's last token in each."""

    contexts: list[list[int]]
    lookups: list[int]
    target: list[int]
    essence: list[int]
    essence_lookup: int


@dataclass(frozen=True)
class TargetValue:
    """z* (d,), the loss of the last evaluation, and the number of evaluations."""

    z: Tensor
    loss: float
    steps: int


@dataclass(frozen=True)
class Settings:
    """Adam's learning rate, maximum evaluations, early stop, clamp, weight decay and KL factor."""

    learning_rate: float
    steps: int
    stop_at: float
    clamp: float
    weight_decay: float
    kl: float


def target_value(model: Any, layer: nn.Module, fact: FactTokens, settings: Settings) -> TargetValue:
    """Optimise δ, which is added to the layer's output at the subject's last token of every row."""
    ids, mask = pad([*[[*row, *fact.target[:-1]] for row in fact.contexts], fact.essence])
    lookups = torch.tensor([*fact.lookups, fact.essence_lookup])
    places = torch.arange(len(lookups))
    wanted = torch.full(ids.shape, -100)
    for i, row in enumerate(fact.contexts):
        start = len(row) - 1
        wanted[i, start : start + len(fact.target)] = torch.tensor(fact.target)
    delta = torch.zeros(model.config.hidden_size, dtype=model.dtype, requires_grad=True)
    h: list[Tensor] = []

    def add_delta(_module: nn.Module, _args: Any, output: Any) -> Any:
        hidden = hidden_states(output).clone()
        if not h:
            h.append(hidden[0, lookups[0]].detach().clone())
        hidden[places, lookups] += delta
        return hidden if isinstance(output, Tensor) else (hidden, *output[1:])

    adam = torch.optim.Adam([delta], lr=settings.learning_rate)
    base: Tensor | None = None
    handle = layer.register_forward_hook(add_delta)
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
    return TargetValue(h[0] + delta.detach(), float(loss.detach()), step)
