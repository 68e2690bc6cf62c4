"""Neighbours that are edited themselves: their answers are meant to change, so they do not measure specificity."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from editflow.editing.requests.hash_counts import HashCounts
from editflow.editing.requests.record import EditRequest

_WORD = re.compile(r"\w+")


class EditedSubjects:
    """The subjects that are edited. Take all of them in before the first question."""

    def __init__(self, requests: Iterable[EditRequest] = ()) -> None:
        self._marks, self._longest = HashCounts(), 0
        for request in requests:
            self.add(request)

    def add(self, request: EditRequest) -> None:
        """Take a request's subject in."""
        words = _words(request.subject)
        self._longest = max(self._longest, len(words))
        self._marks.add(words)

    def neighbours(self, request: EditRequest) -> set[int]:
        """The places of its neighbourhood prompts that name, word for word, a subject that another request edits."""
        own = _words(request.subject)
        asked = [
            (n, run) for n, prompt in enumerate(request.neighborhood_prompts) for run in self._runs(_words(prompt))
        ]
        times = self._marks.times(run for _, run in asked)
        return {n for (n, run), seen in zip(asked, times, strict=True) if seen > (run == own)}

    def _runs(self, words: tuple[str, ...]) -> Iterable[tuple[str, ...]]:
        """Sequences of words, at most as long as a subject."""
        return (words[a:b] for a in range(len(words)) for b in range(a + 1, min(len(words), a + self._longest) + 1))


def edited_neighbours(requests: Sequence[EditRequest]) -> dict[str, set[int]]:
    """{request id: places of its neighbourhood prompts whose subject another one of these edits}."""
    subjects = EditedSubjects(requests)
    return {request.request_id: places for request in requests if (places := subjects.neighbours(request))}


def _words(text: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(text.casefold()))
