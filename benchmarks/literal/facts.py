"""Tokenises a fact, using the tokenizer's character offsets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.literal.target_values import FactTokens


def tokenize_fact(
    tokenizer: Any, prompt: str, subject: str, target: str, contexts: Sequence[str], kl_prompt: str = "{} is a"
) -> FactTokens:
    """Tokenise the prompt after each context, the plain prompt first; `target` follows after a space."""
    rows, lookups = [], []
    for context in ("", *contexts):
        ids, lookup = row(tokenizer, context + prompt, subject)
        rows.append(ids)
        lookups.append(lookup)
    whole = tokenizer(prompt.replace("{}", subject) + " " + target)["input_ids"]
    essence, at = row(tokenizer, kl_prompt, subject)
    return FactTokens(rows, lookups, whole[len(rows[0]) :], essence, at)


def row(tokenizer: Any, template: str, subject: str) -> tuple[list[int], int]:
    """(ids of the filled template, position of the token with the subject's last character)."""
    end = template.index("{}") + len(subject)
    encoded = tokenizer(template.replace("{}", subject), return_offsets_mapping=True)
    spans = encoded["offset_mapping"]
    return list(encoded["input_ids"]), next(i for i, (a, b) in enumerate(spans) if a < end <= b)
