"""Edit requests as token rows: one row for each context, split at the subject's last token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from editflow.editing.models.tokens import continuation, locate
from editflow.editing.requests.record import EditRequest


@dataclass(frozen=True)
class Row:
    """A prompt in one context: its `ids`, the subject's last token at `lookup`, the `target` ids that should follow."""

    ids: list[int]
    lookup: int
    target: list[int]

    @property
    def prefix(self) -> list[int]:
        """Tokens before the subject's last one: an edit changes nothing there."""
        return self.ids[: self.lookup]

    @property
    def suffix(self) -> list[int]:
        """Tokens from the subject's last one on, with all of the target but its last token."""
        return [*self.ids[self.lookup :], *self.target[:-1]]

    @property
    def answers(self) -> list[int]:
        """Positions in the suffix whose next token is the target's first, second, …"""
        first = len(self.ids) - 1 - self.lookup
        return list(range(first, first + len(self.target)))


@dataclass(frozen=True)
class Fact:
    """A request with its rows: `rows[0]` is the plain prompt, the others follow sampled contexts; `essence` is
    the subject in its KL prompt, whose next-token distribution at the subject must stay."""

    request: EditRequest
    rows: tuple[Row, ...]
    essence: Row


def prepare(tokenizer: Any, request: EditRequest, contexts: Sequence[str], kl_prompt: str) -> Fact:
    """Tokenise a request in the plain prompt and behind each of the context texts."""
    where = f"request {request.request_id}"
    rows = tuple(_row(tokenizer, context, request, where) for context in ("", *contexts))
    essence = locate(tokenizer, kl_prompt, request.subject, where)
    return Fact(request, rows, Row(essence.ids[: essence.lookup + 1], essence.lookup, []))


def _row(tokenizer: Any, context: str, request: EditRequest, where: str) -> Row:
    template = context + request.prompt
    located = locate(tokenizer, template, request.subject, where)
    _, target = continuation(tokenizer, template.replace("{}", request.subject, 1), request.target_new, where)
    return Row(located.ids, located.lookup, target)


def cost_order(facts: Sequence[Fact]) -> list[Fact]:
    """Facts of like length side by side, in an order that depends on the facts alone, not on the order given."""
    return sorted(facts, key=lambda f: (len(f.rows[0].suffix), len(f.rows[0].prefix), f.request.request_id))
