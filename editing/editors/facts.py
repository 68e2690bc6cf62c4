"""Edit requests as token rows: one row per context, split at the subject's last token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from editflow.editing.models.tokens import continuation, locate
from editflow.editing.requests.record import EditRequest


@dataclass(frozen=True)
class Row:
    """A prompt in one context: its `ids`, the index `lookup` of the subject's last token, and the `target` ids."""

    ids: list[int]
    lookup: int
    target: list[int]

    @property
    def prefix(self) -> list[int]:
        """Tokens before the subject's last one; an edit does not affect them."""
        return self.ids[: self.lookup]

    @property
    def suffix(self) -> list[int]:
        """Tokens from the subject's last one on, followed by the target without its last token."""
        return [*self.ids[self.lookup :], *self.target[:-1]]

    @property
    def answers(self) -> list[int]:
        """Positions in the suffix that predict the target's tokens."""
        first = len(self.ids) - 1 - self.lookup
        return list(range(first, first + len(self.target)))


@dataclass(frozen=True)
class Fact:
    """A request as token rows: `rows[0]` is the plain prompt; the others put a sampled context before it.

    `kl_row` is the KL prompt up to the subject, where the next-token distribution must stay the same.
    """

    request: EditRequest
    rows: tuple[Row, ...]
    kl_row: Row


def tokenize_fact(tokenizer: Any, request: EditRequest, contexts: Sequence[str], kl_prompt: str) -> Fact:
    """Tokenise a request's prompt, plain and after each context text."""
    where = f"request {request.request_id}"
    rows = tuple(_row(tokenizer, context, request, where) for context in ("", *contexts))
    kl = locate(tokenizer, kl_prompt, request.subject, where)
    return Fact(request, rows, Row(kl.ids[: kl.lookup + 1], kl.lookup, []))


def _row(tokenizer: Any, context: str, request: EditRequest, where: str) -> Row:
    template = context + request.prompt
    located = locate(tokenizer, template, request.subject, where)
    _, target = continuation(tokenizer, template.replace("{}", request.subject, 1), request.target_new, where)
    return Row(located.ids, located.lookup, target)


def sort_by_length(facts: Sequence[Fact]) -> list[Fact]:
    """Sort facts so that facts of similar length are adjacent. The order given does not matter."""
    return sorted(facts, key=lambda f: (len(f.rows[0].suffix), len(f.rows[0].prefix), f.request.request_id))
