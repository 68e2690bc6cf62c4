"""Flat records with one field per column: JSON of EasyEdit and KnowEdit (arXiv 2308.07269, 2401.01286), plain tables.

| column | other names | content |
| --- | --- | --- |
| prompt | src, text | the prompt, with `{}` for the subject or the subject itself |
| subject | concept | |
| target_new | alt, target, labels | the answer to write |
| target_true | ground_truth | the current answer; optional |
| id | case_id | the record's id; by default a hash of its content |
| relation | relation_id | |
| paraphrase_prompts | rephrase_prompt, rephrase, paraphrase_prompt | a text or a list |
| neighborhood_prompts | neighbourhood_prompts | a list; their answer is target_true |
| generation_prompts | | a list |
| locality | | {kind: [{prompt, ground_truth}]}, or {kind: {prompt: […], ground_truth: […]}} |
| locality_prompt, locality_ground_truth | | the same for one question or lists |
| portability | | as locality |
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import zip_longest
from typing import Any

from editflow.editing.errors import InvalidRequest
from editflow.editing.requests.fields import answers, first, question, record_id, template, text, texts, type_name
from editflow.editing.requests.record import EditRequest, Question

PROMPT = ("prompt", "src", "text")
SUBJECT = ("subject", "concept")


def has_flat_fields(record: Mapping[str, Any]) -> bool:
    """Whether a record has a prompt and a subject, by any of their names."""
    return not record.keys().isdisjoint(PROMPT) and not record.keys().isdisjoint(SUBJECT)


def request(where: str, record: Mapping[str, Any]) -> EditRequest:
    """Return the request of a flat record. Raises InvalidRequest naming the place."""
    prompt, subject = text(where, record, *PROMPT), text(where, record, *SUBJECT)
    given = first(record, "target_new", "alt", "target", "labels")
    if not isinstance(given, str | list | tuple | None):
        raise InvalidRequest(where, f"the new target is {type_name(given)}", "make it text")
    found = answers(where, given)
    if given is not None and not found:
        raise InvalidRequest(where, "the new target is empty", "give the answer as text")
    if not found or not prompt or not subject:
        missing = [n for n, value in (("prompt", prompt), ("subject", subject), ("target_new", found)) if not value]
        raise InvalidRequest(where, f"no {' and no '.join(missing)}", f"it has {', '.join(map(str, record))}")
    true = answers(where, first(record, "target_true", "ground_truth")) or ("",)
    return EditRequest(
        record_id(first(record, "id", "case_id"), prompt, subject, found[0]),
        template(where, prompt, subject), subject, found[0], true[0], text(where, record, "relation", "relation_id"),
        texts(where, record, "paraphrase_prompts", "rephrase_prompt", "rephrase", "paraphrase_prompt", alone=True),
        texts(where, record, "neighborhood_prompts", "neighbourhood_prompts"),
        texts(where, record, "generation_prompts"),
        tuple(_questions(where, record, "locality")), tuple(_questions(where, record, "portability")),
        aliases=found[1:],
    )  # fmt: skip


def _questions(where: str, record: Mapping[str, Any], name: str) -> Iterator[Question]:
    nested = record.get(name) or {}
    if not isinstance(nested, Mapping):
        raise InvalidRequest(where, f"field {name!r} is not an object", "write {kind: [{prompt, ground_truth}]}")
    beside = {"prompt": record.get(f"{name}_prompt"), "ground_truth": record.get(f"{name}_ground_truth")}
    for group in (*nested.values(), beside):
        for one in group if isinstance(group, list) else [group]:
            if not isinstance(one, Mapping | None):
                raise InvalidRequest(where, f"field {name!r} holds {one!r}", "write {prompt, ground_truth} there")
            # Tables and hub data sets have a null for each field that only other records have.
            prompt, answer = (one or {}).get("prompt"), (one or {}).get("ground_truth")
            if prompt is not None or answer is not None:
                yield from (question(where, p, a) for p, a in _pairs(prompt, answer))


def _pairs(prompt: Any, answer: Any) -> Iterable[tuple[Any, Any]]:
    """Pair prompts with their answers; a single text answers all prompts."""
    if not isinstance(prompt, list):
        return [(prompt, answer)]
    return ((one, answer) for one in prompt) if isinstance(answer, str) else zip_longest(prompt, answer or [])
