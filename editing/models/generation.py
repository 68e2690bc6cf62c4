"""Plain greedy continuation of prompts."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from editing.models.editable import EditableModel
from editing.models.rows import Prefix, Rows, run
from editing.models.tokens import encode


def continue_text(model: EditableModel, prompt: str, tokens: int = 16) -> str:
    """The `tokens` likeliest next tokens, one after the other, as text."""
    return continue_texts(model, [prompt], tokens)[0]


@torch.no_grad()
def continue_texts(model: EditableModel, prompts: Sequence[str], tokens: int = 16) -> list[str]:
    """The same of several prompts together; what has run is kept, so each token costs a pass over one position."""
    from transformers import DynamicCache

    rows = Rows.pad([encode(model.tokenizer, prompt)[0] for prompt in prompts], model.device)
    last = (torch.arange(len(prompts), device=model.device), rows.lengths - 1)
    said: list[list[int]] = [[] for _ in prompts]
    going = [True] * len(prompts)
    prefix, cache = Prefix.empty(len(prompts), model.device), DynamicCache()
    for _ in range(tokens):
        states = run(model, rows, prefix=prefix, cache=cache)[last]
        chosen = model.logits(states).argmax(-1)
        for row, token in enumerate(chosen.tolist()):
            going[row] = going[row] and token != model.tokenizer.eos_token_id
            said[row] += [token] if going[row] else []
        if not any(going):
            break
        prefix = Prefix.of(cache, torch.cat([prefix.mask, rows.mask], dim=1))
        rows = Rows(chosen[:, None], torch.ones_like(chosen[:, None]))
        last = (last[0], torch.zeros_like(last[1]))
    return [str(model.tokenizer.decode(ids, skip_special_tokens=True)) for ids in said]
