"""Plain greedy continuation of a prompt."""

from __future__ import annotations

import torch

from editing.models.editable import EditableModel
from editing.models.rows import Rows, run
from editing.models.tokens import encode


@torch.no_grad()
def continue_text(model: EditableModel, prompt: str, tokens: int = 16) -> str:
    """The `tokens` likeliest next tokens, one after the other, as text."""
    sequence, _ = encode(model.tokenizer, prompt)
    start = len(sequence)
    for _ in range(tokens):
        hidden = run(model, Rows.pad([sequence], model.device))[0, -1]
        token = int(model.logits(hidden).argmax())
        if token == model.tokenizer.eos_token_id:
            break
        sequence.append(token)
    return str(model.tokenizer.decode(sequence[start:], skip_special_tokens=True))
