"""Score of one target after one prompt: a full forward pass each, with the head at all positions."""

from __future__ import annotations

from typing import Any

import torch


@torch.no_grad()
def score(model: Any, prompt: list[int], target: list[int]) -> tuple[float, bool]:
    """(mean NLL of the target's tokens, whether all of them are the argmax)."""
    ids = torch.tensor([[*prompt, *target]])
    log_probs = model(input_ids=ids, use_cache=False).logits[0].log_softmax(-1)
    rows = log_probs[len(prompt) - 1 : -1]
    wanted = torch.tensor(target)
    nll = -rows[torch.arange(len(target)), wanted].mean()
    return float(nll), bool((rows.argmax(-1) == wanted).all())
