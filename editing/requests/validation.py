"""A report of all problems in a file of requests; `check_all` stops at the first."""

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
from editflow.editing.requests.record import DuplicateCheck, EditRequest, check

PARTS: dict[str, Callable[[EditRequest], int]] = {
    "paraphrases": lambda r: len(r.paraphrase_prompts),
    "neighbours": lambda r: len(r.neighborhood_prompts),
    "locality": lambda r: sum(bool(q.answers) for q in r.locality),
    "portability": lambda r: sum(bool(q.answers) for q in r.portability),
    "generation": lambda r: len(r.generation_prompts),
}
EDITED = "neighbours edited too"
MAX_RELATIONS = 10_000
"""Maximum number of relations that are counted separately; bounds memory."""
OTHERS = "(all other relations)"
Records = Iterable[tuple[str, Any]]


@dataclass
class Findings:
    """The report on a file: its data set, the number of valid requests, and one line per fault.

    Unused content is not a fault: `unread` counts the records with each field that the reader does not use;
    `unanswered` counts the questions without an answer.
    """

    dataset: str = ""
    facts: int = 0
    faults: list[str] = field(default_factory=list)
    unread: Counter[str] = field(default_factory=Counter)
    unanswered: int = 0
    _relations: dict[str, Counter[str]] = field(default_factory=dict)

    def count(self, request: EditRequest, edited: int) -> None:
        """Count a valid request, `edited` of whose neighbours are edited too."""
        self.facts += 1
        self.unanswered += sum(not question.answers for question in (*request.locality, *request.portability))
        known = request.relation in self._relations or len(self._relations) < MAX_RELATIONS
        row = self._relations.setdefault(request.relation if known else OTHERS, Counter())
        row.update({"facts": 1, EDITED: edited, **{name: part(request) for name, part in PARTS.items()}})

    def counts(self) -> list[dict[str, Any]]:
        """One row per relation, the largest first: facts, their prompts of each part, and neighbours edited too."""
        ranked = sorted(self._relations.items(), key=lambda item: (-item[1]["facts"], item[0]))
        columns = ("facts", *PARTS, EDITED)
        return [{"relation": name, **{column: row[column] for column in columns}} for name, row in ranked]


def find_faults(read: Callable[[], Records], dataset: str | None = None) -> Findings:
    """Check every record on its own, then check for duplicates and contradictions.

    Calls `read` twice and does not keep the records: about 150 bytes of each are in memory, and the text of each
    fault. MQuAKE's cases share rewrites and are merged in memory. Raises InvalidOption for an unknown data set,
    InvalidRequest if no reader recognises the first object, and the errors of `read`.
    """
    check_name(dataset)
    found, keys, subjects = Findings(), HashCounts(), EditedSubjects()
    for _, request in _read_valid(read(), dataset, found, found.faults, found.unread):
        subjects.add(request)
        for key in request.unique_keys:
            keys.add(key)
    duplicates = DuplicateCheck()
    for where, request in _read_valid(read(), dataset, found, [], Counter()):
        try:
            if (keys.counts(request.unique_keys) > 1).any():  # otherwise there is no request to compare it with
                duplicates.add(where, request)
            found.count(request, len(subjects.neighbours(request)))
        except InvalidRequest as error:
            found.faults.append(str(error))
    return found


def _read_valid(
    records: Records, dataset: str | None, found: Findings, faults: list[str], unread: Counter[str]
) -> Iterator[tuple[str, EditRequest]]:
    """Yield (place, request) of the valid requests, and append the faults of the others to `faults`."""
    readers: list[Reader] = []
    requests = _read_requests(records, dataset, readers, faults, unread)
    first = next(requests, None)
    if first is None:
        return
    found.dataset = readers[0].name
    for where, request in readers[0].merge(chain([first], requests)):
        try:
            check(request, where)
        except InvalidRequest as error:
            faults.append(str(error))
        else:
            yield where, request


def _read_requests(
    records: Records, dataset: str | None, readers: list[Reader], faults: list[str], unread: Counter[str]
) -> Iterator[tuple[str, EditRequest]]:
    """Yield the requests of all readable records. The first object selects the reader, which is put into `readers`."""
    for where, record in records:
        if not readers and isinstance(record, Mapping):
            readers.append(reader_of(dataset, where, record))  # if no reader recognises it, nothing can be checked
        try:
            tracked = TrackedRecord(as_object(where, record))
            requests = list(readers[0].requests(where, tracked))
        except InvalidRequest as error:
            faults.append(str(error))
        else:
            # Tables have a null for each field that only other records have.
            unread.update(name for name, value in tracked.items() if name in tracked.unread and value is not None)
            yield from ((where, request) for request in requests)
