"""Measure several metrics over edit requests together, so that equal prompts run once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from editflow.editing.metrics.metric import PromptScore
from editflow.editing.metrics.neighbourhood import NEIGHBOURHOOD
from editflow.editing.metrics.published import published_accuracy
from editflow.editing.metrics.registry import metric
from editflow.editing.metrics.scoring import score
from editflow.editing.models.editable import EditableModel
from editflow.editing.requests.neighbours import edited_neighbours
from editflow.editing.requests.record import EditRequest


def prompt_count(requests: Sequence[EditRequest], names: Sequence[str]) -> int:
    """Number of distinct prompts that `measure` runs."""
    return len({asked.prompt for r in requests for name in names for asked in metric(name).asks(r)})


def measure(
    model: EditableModel,
    requests: Sequence[EditRequest],
    names: Sequence[str],
    progress: Callable[[int], None] = lambda _prompts: None,
    *,
    published: bool = False,
) -> list[PromptScore]:
    """Return one row per request, metric and prompt.

    `published` adds token accuracy as published, which costs one more pass per token of each answer.
    """
    asked = [(r, metric(name), i, q) for r in requests for name in names for i, q in enumerate(metric(name).asks(r))]
    scores = score(model, [(q.prompt, q.answers) for _, _, _, q in asked], progress=progress)
    changed = edited_neighbours(requests)
    pairs = [(q.prompt, q.wanted, not kind.wants_new) for _, kind, _, q in asked] if published else []
    shares = iter(published_accuracy(model, pairs))
    rows = []
    for (request, kind, index, question), (wanted, *others) in zip(asked, scores, strict=True):
        other = others[0].nll if others else None
        new, true = (wanted.nll, other) if kind.wants_new else (other, wanted.nll)
        rows.append(PromptScore(
            request.request_id, kind.name, index, question.prompt, new, true,
            None if other is None else float(wanted.nll < other), float(wanted.argmax), wanted.tokens, wanted.hits,
            kind is NEIGHBOURHOOD and index in changed.get(request.request_id, ()), next(shares, None),
            wanted.said,
        ))  # fmt: skip
    return rows
