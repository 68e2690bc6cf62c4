"""Prompts as token ids. The tokenizer's character offsets give the position of the subject."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from editflow.editing.errors import InvalidRequest, UnknownModel

_ROWS = "embedding_rows"


@dataclass(frozen=True)
class Located:
    """Token ids of a filled prompt, and `lookup`, the index of the subject's last token."""

    ids: list[int]
    lookup: int


def encode(tokenizer: Any, text: str) -> tuple[list[int], list[tuple[int, int]]]:
    """Token ids of a text's beginning (with BOS if the model uses one), and the tokens' character offsets."""
    encoded = tokenizer(text, return_offsets_mapping=True)
    return check_ids(tokenizer, encoded["input_ids"], text), [tuple(span) for span in encoded["offset_mapping"]]


def remember_embedding_rows(tokenizer: Any, rows: int) -> None:
    """Store the embedding's number of rows on a tokenizer that has more tokens than that.

    Such tokens are common and rarely used, so only texts that contain one are refused (see `check_ids`).
    """
    if max(tokenizer.get_vocab().values(), default=-1) >= rows:
        setattr(tokenizer, _ROWS, rows)


def check_ids(tokenizer: Any, ids: Iterable[int], text: str) -> list[int]:
    """Return a text's ids as a list. Raises UnknownModel if the model's embedding has no row for one of them."""
    checked = list(ids)
    rows = getattr(tokenizer, _ROWS, None)
    if rows is not None and (over := [token for token in checked if token >= rows]):
        raise UnknownModel(
            f"text {text[:80]!r} has token {over[0]} ({tokenizer.convert_ids_to_tokens(over[0])!r}), and the model's "
            f"embedding has {rows} rows: put the model's own tokenizer files beside it, or leave that text out"
        )
    return checked


def locate(tokenizer: Any, template: str, subject: str, where: str) -> Located:
    """Fill `{}` in the template with the subject, and find the subject's last token.

    `where` is the request's place in errors. Raises InvalidRequest if no token covers the subject's last character.
    """
    start = template.index("{}")
    end = start + len(subject)
    ids, spans = encode(tokenizer, template.replace("{}", subject, 1))
    covering = [i for i, (a, b) in enumerate(spans) if a < end <= b]
    if not covering:
        raise InvalidRequest(where, f"no token covers the end of subject {subject!r}", "check the subject's characters")
    return Located(ids, covering[-1])


def continuation(tokenizer: Any, prompt: str, target: str, where: str) -> tuple[list[int], list[int]]:
    """Tokenise `prompt + " " + target`, split at the end of the prompt: (prompt ids, target ids).

    Raises InvalidRequest if the tokenizer merges the end of the prompt with the target.
    """
    prompt_ids, _ = encode(tokenizer, prompt)
    ids, _ = encode(tokenizer, f"{prompt} {target}")
    if ids[: len(prompt_ids)] != prompt_ids or len(ids) == len(prompt_ids):
        raise InvalidRequest(
            where,
            f"the tokenizer merges the end of prompt {prompt!r} with target {target!r}",
            "end the prompt with a whole word and no space",
        )
    return prompt_ids, ids[len(prompt_ids) :]
