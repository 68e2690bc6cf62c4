"""Records in CounterFact's shape (ROME, arXiv 2202.05262): requested_rewrite and the prompts that evaluate it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from editing.errors import InvalidRequest
from editing.requests.record import EditRequest

_WORDS: dict[type, str] = {
    str: "text",
    int: "a number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "an object",
    Mapping: "an object",
    type(None): "null",
}


def read(records: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, EditRequest]]:
    """Turn (where, record) pairs into (where, request) pairs. Raises InvalidRequest naming the place."""
    for where, record in records:
        yield where, _request(where, record)


def _request(where: str, record: Any) -> EditRequest:
    if not isinstance(record, Mapping):
        raise InvalidRequest(
            where, f"a record must be an object, not {_WORDS.get(type(record), 'this')}", "see docs/requests.md"
        )
    rewrite = _field(where, record, "requested_rewrite", Mapping)
    prompt = _field(where, rewrite, "prompt", str)
    subject = _field(where, rewrite, "subject", str)
    new = _target(where, rewrite, "target_new")
    # What no UTF-8 can hold is refused, with its place, when the request is checked.
    content = f"{prompt}\0{subject}\0{new}".encode(errors="surrogatepass")
    fallback = hashlib.sha256(content).hexdigest()[:16]
    return EditRequest(
        request_id=fallback if record.get("case_id") is None else str(record["case_id"]),
        prompt=prompt,
        subject=subject,
        target_new=new,
        target_true=_target(where, rewrite, "target_true"),
        relation=str(record.get("relation") or rewrite.get("relation_id") or ""),
        paraphrase_prompts=_prompts(where, record, "paraphrase_prompts"),
        neighborhood_prompts=_prompts(where, record, "neighborhood_prompts"),
        generation_prompts=_prompts(where, record, "generation_prompts"),
    )


def _field(where: str, record: Mapping[str, Any], name: str, kind: type) -> Any:
    if name not in record:
        raise InvalidRequest(
            where, f"field {name!r} is missing", f"it has {', '.join(map(str, record)) or 'no fields'}"
        )
    if not isinstance(record[name], kind):
        raise InvalidRequest(
            where, f"field {name!r} is {_WORDS.get(type(record[name]), 'wrong')}", f"make it {_WORDS[kind]}"
        )
    return record[name]


def _target(where: str, rewrite: Mapping[str, Any], name: str) -> str:
    value = rewrite.get(name)
    text = value.get("str") if isinstance(value, Mapping) else value
    if not isinstance(text, str):
        raise InvalidRequest(where, f"field {name!r} is missing or not text", f'write "{name}": {{"str": "…"}}')
    return text.strip()


def _prompts(where: str, record: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = record.get(name, [])
    if not isinstance(value, list) or not all(isinstance(p, str) for p in value):
        raise InvalidRequest(where, f"field {name!r} is not a list of texts", 'write ["…", "…"]')
    return tuple(dict.fromkeys(p.rstrip() for p in value))
