"""zsRE's accuracy as published code computes it, so that published numbers can be reproduced.

Published code (MEMIT, arXiv 2210.07229, and AlphaEdit's evaluation after it) tokenises the answer. For each token it
decodes the answer so far, appends it to the prompt, encodes the text again and asks for the most likely next token. If
the tokenizer puts a beginning-of-text token before every text, this differs from teacher forcing:

* an answer to an edited prompt is appended with one more space from its second token on;
* an answer that must stay keeps the beginning-of-text token as its first token, which no model generates.

Decoding and encoding again may also change the tokens. The corrected score is the column `token accuracy`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from editflow.editing.models.editable import EditableModel
from editflow.editing.models.forward import PaddedBatch, run
from editflow.editing.models.tokens import check_ids

Step = tuple[str, int | None]
"""A text and the expected next token; None if the token's own text encodes to nothing."""


def adds_bos(tokenizer: Any) -> bool:
    """Whether the tokenizer puts a beginning-of-text token before every text."""
    ids = tokenizer("a")["input_ids"]
    return bool(ids) and tokenizer.bos_token_id is not None and ids[0] == tokenizer.bos_token_id


def steps(tokenizer: Any, prompt: str, answer: str, *, stays: bool) -> list[Step]:
    """Return the steps for an answer, one per token; `stays` says that the edit must not change the answer."""
    begins = adds_bos(tokenizer)
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
    """Return the most likely token after each text. Equal texts run once."""
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
    """Return the share of tokens that are the argmax, from 0 to 1, for each (prompt, answer, stays).

    Costs one pass per token of each answer.
    """
    todo = [steps(model.tokenizer, prompt, answer, stays=stays) for prompt, answer, stays in asked]
    generated = iter(next_tokens(model, [text for found in todo for text, _ in found]))
    return [sum([next(generated) == wanted for _, wanted in found]) / len(found) if found else 0.0 for found in todo]
