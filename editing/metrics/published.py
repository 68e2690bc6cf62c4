"""zsRE's accuracy as published code computes it, kept beside ours so that published numbers can be reproduced.

Their way (MEMIT, arXiv 2210.07229, and AlphaEdit's evaluation after it): the answer is cut into tokens, and for each
one the text so far is decoded, joined to the prompt, encoded again and asked for its most likely next token. It parts
from teacher forcing on the tokenizer's own split where the tokenizer puts a beginning-of-text token before every text:

* an answer to an edited prompt is joined with one more space from its second token on;
* an answer that must stay keeps the beginning-of-text token as its first token, which no model generates.

Decoding and encoding again may also change the split. The corrected score is the column `token accuracy`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from editflow.editing.models.editable import EditableModel
from editflow.editing.models.forward import PaddedBatch, run
from editflow.editing.models.tokens import check_ids

Step = tuple[str, int | None]
"""A text and the token that should follow it; None where the token's own text encodes to nothing."""


def begins_texts(tokenizer: Any) -> bool:
    """Whether the tokenizer puts a beginning-of-text token before every text."""
    ids = tokenizer("a")["input_ids"]
    return bool(ids) and tokenizer.bos_token_id is not None and ids[0] == tokenizer.bos_token_id


def steps(tokenizer: Any, prompt: str, answer: str, *, stays: bool) -> list[Step]:
    """What is asked, token by token; `stays` for the answer of a question that the edit must not touch."""
    begins = begins_texts(tokenizer)
    ids = check_ids(tokenizer, tokenizer(f" {answer}")["input_ids"], answer)
    if begins and not stays:
        ids = ids[1:]
    found: list[Step] = []
    for n, token in enumerate(ids):
        joint = " " if begins and not stays and n else ""
        again = tokenizer(tokenizer.decode([token]))["input_ids"][int(begins) :]
        found.append((prompt + joint + tokenizer.decode(ids[:n]), again[0] if again else None))
    return found


@torch.no_grad()
def next_tokens(model: EditableModel, texts: Sequence[str], texts_per_pass: int = 64) -> list[int]:
    """The most likely token after each text; equal texts run once."""
    encoded = {
        text: check_ids(model.tokenizer, model.tokenizer(text)["input_ids"], text) for text in dict.fromkeys(texts)
    }
    ordered = sorted(encoded, key=lambda text: (len(encoded[text]), text))
    found: dict[str, int] = {}
    for start in range(0, len(ordered), texts_per_pass):
        part = ordered[start : start + texts_per_pass]
        rows = PaddedBatch.pad([encoded[text] for text in part], model.device)
        states = run(model, rows)[torch.arange(len(part)), rows.lengths - 1]
        found.update(zip(part, model.logits(states).argmax(-1).tolist(), strict=True))
    return [found[text] for text in texts]


def published_accuracy(model: EditableModel, asked: Sequence[tuple[str, str, bool]]) -> list[float]:
    """Share of the tokens that are the argmax, one value per (prompt, answer, stays); 0 to 1. Costs a pass a token of
    each answer."""
    todo = [steps(model.tokenizer, prompt, answer, stays=stays) for prompt, answer, stays in asked]
    generated = iter(next_tokens(model, [text for found in todo for text, _ in found]))
    return [sum([next(generated) == wanted for _, wanted in found]) / len(found) if found else 0.0 for found in todo]
