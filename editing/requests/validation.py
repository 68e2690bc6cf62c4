"""All problems of a file's records, where `check_all` stops at the first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from editflow.editing.errors import InvalidRequest
from editflow.editing.requests.fields import TrackedRecord
from editflow.editing.requests.hash_counts import HashCounts
from editflow.editing.requests.neighbours import EditedSubjects
from editflow.editing.requests.readers import Reader, as_object, check_name, reader_of
from editflow.editing.requests.record import EditRequest, Seen, check

PARTS: dict[str, Callable[[EditRequest], int]] = {
    "paraphrases": lambda r: len(r.paraphrase_prompts),
    "neighbours": lambda r: len(r.neighborhood_prompts),
    "locality": lambda r: sum(bool(q.answers) for q in r.locality),
    "portability": lambda r: sum(bool(q.answers) for q in r.portability),
    "generation": lambda r: len(r.generation_prompts),
}
EDITED = "neighbours edited too"
KEPT = 10_000
"""Relations that are counted separately, so that a file with very many needs bounded memory."""
OTHERS = "(all other relations)"
Records = Iterable[tuple[str, Any]]


@dataclass
class Findings:
    """What a file holds: the data set's name, how many valid requests, and the faults, a line each.

    What is no fault and yet is not used: `unread` counts the records that have a field which no reader takes,
    `unanswered` the questions without an answer.
    """

    dataset: str = ""
    facts: int = 0
    faults: list[str] = field(default_factory=list)
    unread: Counter[str] = field(default_factory=Counter)
    unanswered: int = 0
    _relations: dict[str, Counter[str]] = field(default_factory=dict)

    def count(self, request: EditRequest, edited: int) -> None:
        """Add a valid request, of whose neighbours so many are edited too."""
        self.facts += 1
        self.unanswered += sum(not question.answers for question in (*request.locality, *request.portability))
        known = request.relation in self._relations or len(self._relations) < KEPT
        row = self._relations.setdefault(request.relation if known else OTHERS, Counter())
        row.update({"facts": 1, EDITED: edited, **{name: part(request) for name, part in PARTS.items()}})

    def counts(self) -> list[dict[str, Any]]:
        """One row a relation, the largest first: facts, their prompts of each part, and neighbours edited too."""
        ranked = sorted(self._relations.items(), key=lambda item: (-item[1]["facts"], item[0]))
        columns = ("facts", *PARTS, EDITED)
        return [{"relation": name, **{column: row[column] for column in columns}} for name, row in ranked]


def findings(read: Callable[[], Records], dataset: str | None = None) -> Findings:
    """Every record separately, so that a fault of one hides none of the others; then contradictions and
    duplicates among them.

    The records are read twice and never held: about 150 bytes are kept of each, and the text of each fault. MQuAKE's
    cases share their rewrites and are joined in memory. Raises InvalidOption for an unknown data set, InvalidRequest
    if the first object has the shape of none, and all that `read` raises.
    """
    check_name(dataset)
    found, marks, subjects = Findings(), HashCounts(), EditedSubjects()
    for _, request in _valid(read(), dataset, found, found.faults, found.unread):
        subjects.add(request)
        for mark in request.marks:
            marks.add(mark)
    seen = Seen()
    for where, request in _valid(read(), dataset, found, [], Counter()):
        try:
            if (marks.times(request.marks) > 1).any():  # only then is there another one to compare it with
                seen.add(where, request)
            found.count(request, len(subjects.neighbours(request)))
        except InvalidRequest as error:
            found.faults.append(str(error))
    return found


def _valid(
    records: Records, dataset: str | None, found: Findings, faults: list[str], unread: Counter[str]
) -> Iterator[tuple[str, EditRequest]]:
    """(place, request) of the valid ones; the faults of the others go to `faults`."""
    readers: list[Reader] = []
    made = _requests_of(records, dataset, readers, faults, unread)
    first = next(made, None)
    if first is None:
        return
    found.dataset = readers[0].name
    for where, request in readers[0].joins(chain([first], made)):
        try:
            check(request, where)
        except InvalidRequest as error:
            faults.append(str(error))
        else:
            yield where, request


def _requests_of(
    records: Records, dataset: str | None, readers: list[Reader], faults: list[str], unread: Counter[str]
) -> Iterator[tuple[str, EditRequest]]:
    """The requests of all records that can be read; the first of these selects the reader, which goes to `readers`."""
    for where, record in records:
        if not readers and isinstance(record, Mapping):
            readers.append(reader_of(dataset, where, record))  # without a shape there is nothing to check
        try:
            whole = TrackedRecord(as_object(where, record))
            requests = list(readers[0].requests(where, whole))
        except InvalidRequest as error:
            faults.append(str(error))
        else:
            # A table has a null for what only others have.
            unread.update(name for name, value in whole.items() if name in whole.left and value is not None)
            yield from ((where, request) for request in requests)
