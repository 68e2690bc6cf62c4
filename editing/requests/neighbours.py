"""Neighbours that are edited themselves: they say nothing of specificity, for their answer is meant to change."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from editing.requests.record import EditRequest

_WORD = re.compile(r"\w+")


def edited_neighbours(requests: Sequence[EditRequest]) -> dict[str, set[int]]:
    """{request id: places of its neighbourhood prompts that name, word for word, a subject that another one edits}."""
    subjects: dict[tuple[str, ...], set[str]] = {}
    for request in requests:
        subjects.setdefault(_words(request.subject), set()).add(request.request_id)
    longest = max(map(len, subjects), default=0)
    found: dict[str, set[int]] = {}
    for request in requests:
        for place, prompt in enumerate(request.neighborhood_prompts):
            words = _words(prompt)
            if any(subjects.get(run, set()) - {request.request_id} for run in _runs(words, longest)):
                found.setdefault(request.request_id, set()).add(place)
    return found


def _words(text: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(text.casefold()))


def _runs(words: tuple[str, ...], longest: int) -> Iterable[tuple[str, ...]]:
    return (words[a:b] for a in range(len(words)) for b in range(a + 1, min(len(words), a + longest) + 1))
