"""Everything that is wrong with the records of a file, fault after fault, where `check_all` stops at the first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from editing.errors import InvalidRequest
from editing.requests.neighbours import edited_neighbours
from editing.requests.readers import Reader, as_object, check_name, reader_of
from editing.requests.record import EditRequest, Seen, check

PARTS: dict[str, Callable[[EditRequest], int]] = {
    "paraphrases": lambda r: len(r.paraphrase_prompts),
    "neighbours": lambda r: len(r.neighborhood_prompts),
    "locality": lambda r: len(r.locality),
    "portability": lambda r: len(r.portability),
    "generation": lambda r: len(r.generation_prompts),
}
EDITED = "neighbours edited too"


@dataclass
class Findings:
    """What a file holds: the data set's name, the sound requests, and the faults in their order, a line each."""

    dataset: str = ""
    sound: list[EditRequest] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def counts(self) -> list[dict[str, Any]]:
        """One row a relation, the largest first: facts, their prompts of each part, and neighbours edited too."""
        edited = edited_neighbours(self.sound)
        rows: dict[str, Counter[str]] = {}
        for request in self.sound:
            row = rows.setdefault(request.relation, Counter())
            row.update({"facts": 1, **{name: count(request) for name, count in PARTS.items()}})
            row[EDITED] += len(edited.get(request.request_id, ()))
        ranked = sorted(rows.items(), key=lambda item: (-item[1]["facts"], item[0]))
        columns = ("facts", *PARTS, EDITED)
        return [{"relation": name, **{column: row[column] for column in columns}} for name, row in ranked]


def findings(records: Iterable[tuple[str, Any]], dataset: str | None = None) -> Findings:
    """Every record by itself, so that a fault of one hides none of the others; then what two of them have against
    each other. Raises InvalidOption for an unknown data set, and whatever `records` raises."""
    check_name(dataset)
    found, reader = Findings(), None
    located: list[tuple[str, EditRequest]] = []
    for where, record in records:
        try:
            whole = as_object(where, record)
            reader = reader or reader_of(dataset, where, whole)
            located += [(where, request) for request in reader.requests(where, whole)]
        except InvalidRequest as error:
            found.faults.append(str(error))
    _compare(found, located, reader)
    return found


def _compare(found: Findings, located: list[tuple[str, EditRequest]], reader: Reader | None) -> None:
    seen = Seen()
    found.dataset = reader.name if reader else ""
    for where, request in reader.joins(iter(located)) if reader else ():
        try:
            check(request, where)
            seen.add(where, request)
            found.sound.append(request)
        except InvalidRequest as error:
            found.faults.append(str(error))
