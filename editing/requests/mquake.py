"""MQuAKE (arXiv 2305.14795): chains of facts, and multi-hop questions whose answers change with the edits.

Each of a case's rewrites becomes a request; its question is a paraphrase. The multi-hop questions become portability
questions of the last rewrite. They need all rewrites of the case, since their answer is right only if all are edited.
A rewrite that several cases share becomes one request, with the questions of all these cases.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from editflow.editing.errors import InvalidRequest
from editflow.editing.requests import counterfact
from editflow.editing.requests.fields import field, question, texts
from editflow.editing.requests.record import EditRequest


def requests(where: str, record: Mapping[str, Any]) -> Iterator[EditRequest]:
    """Yield the requests of one case."""
    rewrites = field(where, record, "requested_rewrite", list)
    if not rewrites or not all(isinstance(rewrite, Mapping) for rewrite in rewrites):
        raise InvalidRequest(where, "field 'requested_rewrite' is not a list of objects", "see docs/requests.md")
    aliases = texts(where, record, "new_answer_alias")
    answers = [field(where, record, "new_answer", str), *aliases]
    *earlier, last = (_rewrite(where, rewrite) for rewrite in rewrites)
    needs = tuple(dict.fromkeys(request.request_id for request in earlier))
    questions = (question(where, prompt, answers) for prompt in texts(where, record, "questions"))
    yield from earlier
    yield replace(last, portability=tuple(replace(one, needs=needs) for one in questions))


def _rewrite(where: str, rewrite: Mapping[str, Any]) -> EditRequest:
    prompts = list(texts(where, rewrite, "question", alone=True))
    shape = {"requested_rewrite": rewrite, "paraphrase_prompts": prompts, "relation": rewrite.get("relation_id", "")}
    return counterfact.request(where, shape)


def merge_rewrites(located: Iterator[tuple[str, EditRequest]]) -> Iterator[tuple[str, EditRequest]]:
    """Yield each rewrite once, at its first place, with the questions of all cases that contain it."""
    merged: dict[str, tuple[str, EditRequest]] = {}
    for where, request in located:
        place, known = merged.get(request.request_id, (where, request))
        questions = tuple(dict.fromkeys((*known.portability, *request.portability)))
        merged[request.request_id] = (place, replace(known, portability=questions))
    yield from merged.values()
