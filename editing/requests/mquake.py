"""MQuAKE (arXiv 2305.14795): chains of facts, and multi-hop questions whose answers change with the edits.

Each of a case's rewrites is a request of its own, and its question a paraphrase. The questions over several hops are
portability questions of the last one, and need all rewrites of the case: their answer holds only where all are edited.
Cases share rewrites: the same one is one request, with the questions of all its cases.
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
    """The requests of one case."""
    rewrites = field(where, record, "requested_rewrite", list)
    if not rewrites or not all(isinstance(rewrite, Mapping) for rewrite in rewrites):
        raise InvalidRequest(where, "field 'requested_rewrite' is not a list of objects", "see docs/requests.md")
    aliases = texts(where, record, "new_answer_alias")
    answers = [field(where, record, "new_answer", str), *aliases]
    *earlier, last = (_rewrite(where, rewrite) for rewrite in rewrites)
    needs = tuple(dict.fromkeys(made.request_id for made in earlier))
    asked = (question(where, prompt, answers) for prompt in texts(where, record, "questions"))
    yield from earlier
    yield replace(last, portability=tuple(replace(one, needs=needs) for one in asked))


def _rewrite(where: str, rewrite: Mapping[str, Any]) -> EditRequest:
    prompts = list(texts(where, rewrite, "question", alone=True))
    shape = {"requested_rewrite": rewrite, "paraphrase_prompts": prompts, "relation": rewrite.get("relation_id", "")}
    return counterfact.request(where, shape)


def joined(found: Iterator[tuple[str, EditRequest]]) -> Iterator[tuple[str, EditRequest]]:
    """Each rewrite once, at its first place, with the questions of all cases that it belongs to."""
    merged: dict[str, tuple[str, EditRequest]] = {}
    for where, request in found:
        place, known = merged.get(request.request_id, (where, request))
        questions = tuple(dict.fromkeys((*known.portability, *request.portability)))
        merged[request.request_id] = (place, replace(known, portability=questions))
    yield from merged.values()
