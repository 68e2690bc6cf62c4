"""A fact as token rows, from the tokenizer's character offsets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.literal.target_values import Question


def question(
    tokenizer: Any, prompt: str, subject: str, target: str, contexts: Sequence[str], kl_prompt: str = "{} is a"
) -> Question:
    """Every context in front of the prompt, the plain prompt first; `target` follows after a space."""
    rows, lookups = [], []
    for context in ("", *contexts):
        ids, lookup = row(tokenizer, context + prompt, subject)
        rows.append(ids)
        lookups.append(lookup)
    whole = tokenizer(prompt.replace("{}", subject) + " " + target)["input_ids"]
    essence, at = row(tokenizer, kl_prompt, subject)
    return Question(rows, lookups, whole[len(rows[0]) :], essence, at)


def row(tokenizer: Any, template: str, subject: str) -> tuple[list[int], int]:
    """(ids of the filled template, place of the token that holds the subject's last character)."""
    end = template.index("{}") + len(subject)
    encoded = tokenizer(template.replace("{}", subject), return_offsets_mapping=True)
    spans = encoded["offset_mapping"]
    return list(encoded["input_ids"]), next(i for i, (a, b) in enumerate(spans) if a < end <= b)
