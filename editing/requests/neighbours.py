"""Neighbours that are edited themselves. Their answers are meant to change, so they do not measure specificity."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from editflow.editing.requests.hash_counts import HashCounts
from editflow.editing.requests.record import EditRequest

_WORD = re.compile(r"\w+")


class EditedSubjects:
    """The edited subjects. Add all requests before the first call of `neighbours`."""

    def __init__(self, requests: Iterable[EditRequest] = ()) -> None:
        self._subjects, self._max_words = HashCounts(), 0
        for request in requests:
            self.add(request)

    def add(self, request: EditRequest) -> None:
        """Add a request's subject."""
        words = _words(request.subject)
        self._max_words = max(self._max_words, len(words))
        self._subjects.add(words)

    def neighbours(self, request: EditRequest) -> set[int]:
        """Return the indices of the neighbourhood prompts that contain, word for word, another request's subject."""
        own = _words(request.subject)
        phrases = [
            (n, words)
            for n, prompt in enumerate(request.neighborhood_prompts)
            for words in self._phrases(_words(prompt))
        ]
        counts = self._subjects.counts(words for _, words in phrases)
        return {n for (n, words), count in zip(phrases, counts, strict=True) if count > (words == own)}

    def _phrases(self, words: tuple[str, ...]) -> Iterable[tuple[str, ...]]:
        """All runs of words that are at most as long as the longest subject."""
        return (words[a:b] for a in range(len(words)) for b in range(a + 1, min(len(words), a + self._max_words) + 1))


def edited_neighbours(requests: Sequence[EditRequest]) -> dict[str, set[int]]:
    """Return {request id: indices of its neighbourhood prompts whose subject another of these requests edits}."""
    subjects = EditedSubjects(requests)
    return {request.request_id: indices for request in requests if (indices := subjects.neighbours(request))}


def _words(text: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(text.casefold()))
