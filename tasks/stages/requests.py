"""Edit requests as imported artifacts, whose id depends only on their content."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import pyarrow as pa

from editflow.editing.requests.record import EditRequest, Question
from editflow.storage.artifacts.imported import ImportedTable
from editflow.storage.artifacts.kinds import kind
from editflow.storage.artifacts.store import Lake


def requests_table(requests: Sequence[EditRequest], source: str) -> ImportedTable:
    """Requests as an artifact; `source` is recorded, but not part of the id."""
    rows = [
        {
            "request": r.request_id,
            "position": n,
            "relation": r.relation,
            "subject": r.subject,
            "prompt": r.prompt,
            "target_new": r.target_new,
            "target_true": r.target_true,
            "paraphrase_prompts": list(r.paraphrase_prompts),
            "neighborhood_prompts": list(r.neighborhood_prompts),
        }
        for n, r in enumerate(requests)
    ]
    table = pa.Table.from_pylist(rows, schema=kind("requests").schema)
    return ImportedTable("requests", table, {"source": source})


def questions_table(requests: Sequence[EditRequest], roles: Iterable[str]) -> ImportedTable | None:
    """Fields of the requests that have no column in a requests artifact, for the given ROLES; None if there are none.

    Omits questions whose answer depends on requests that are not among these: their answer is not known yet.
    """
    ids = {r.request_id for r in requests}
    rows = [
        {"request": r.request_id, "role": role, "index": n, "prompt": q.prompt, "answers": list(q.answers)}
        for r in requests
        for role in roles
        for n, q in enumerate(q for q in ROLES[role](r) if ids.issuperset(q.needs))
    ]
    return ImportedTable("questions", pa.Table.from_pylist(rows, schema=kind("questions").schema)) if rows else None


ROLES: dict[str, Callable[[EditRequest], Iterable[Question]]] = {
    "locality": lambda r: r.locality,
    "portability": lambda r: r.portability,
    "generation": lambda r: [Question(prompt, ()) for prompt in r.generation_prompts],
    "reference": lambda r: [Question("", (text,)) for text in r.references],
    "alias": lambda r: [Question("", (text,)) for text in r.aliases],
}
"""The questions of a request in each role of a `questions` artifact."""


def read_requests(lake: Lake, artifact: str, questions: str | None = None) -> list[EditRequest]:
    """The requests of an artifact, in order, with the fields of a `questions` artifact if one is given."""
    found: dict[tuple[str, str], list[Question]] = {}
    for row in lake.read(questions).to_pylist() if questions else []:
        question = Question(row["prompt"], tuple(row["answers"]))
        found.setdefault((row["request"], row["role"]), []).append(question)

    def questions_of(request: str, role: str) -> tuple[Question, ...]:
        return tuple(found.get((request, role), ()))

    return [
        EditRequest(
            request_id=row["request"],
            prompt=row["prompt"],
            subject=row["subject"],
            target_new=row["target_new"],
            target_true=row["target_true"],
            relation=row["relation"],
            paraphrase_prompts=tuple(row["paraphrase_prompts"]),
            neighborhood_prompts=tuple(row["neighborhood_prompts"]),
            generation_prompts=tuple(q.prompt for q in questions_of(row["request"], "generation")),
            locality=questions_of(row["request"], "locality"),
            portability=questions_of(row["request"], "portability"),
            references=tuple(a for q in questions_of(row["request"], "reference") for a in q.answers),
            aliases=tuple(a for q in questions_of(row["request"], "alias") for a in q.answers),
        )
        for row in lake.read(artifact).to_pylist()
    ]
