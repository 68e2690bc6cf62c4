"""CounterFact and MultiCounterFact (ROME, arXiv 2202.05262): requested_rewrite and the prompts that evaluate it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from editflow.editing.errors import InvalidRequest
from editflow.editing.requests.fields import field, record_id, texts
from editflow.editing.requests.record import EditRequest


def request(where: str, record: Mapping[str, Any]) -> EditRequest:
    """Return the request of a record. Raises InvalidRequest naming the place."""
    rewrite = field(where, record, "requested_rewrite", Mapping)
    prompt = field(where, rewrite, "prompt", str)
    subject = field(where, rewrite, "subject", str)
    new = _target(where, rewrite, "target_new")
    return EditRequest(
        request_id=record_id(record.get("case_id"), prompt, subject, new),
        prompt=prompt,
        subject=subject,
        target_new=new,
        target_true=_target(where, rewrite, "target_true"),
        relation=str(record.get("relation") or rewrite.get("relation_id") or ""),
        paraphrase_prompts=texts(where, record, "paraphrase_prompts"),
        neighborhood_prompts=texts(where, record, "neighborhood_prompts"),
        generation_prompts=texts(where, record, "generation_prompts"),
    )


def _target(where: str, rewrite: Mapping[str, Any], name: str) -> str:
    value = rewrite.get(name)
    text = value.get("str") if isinstance(value, Mapping) else value
    if not isinstance(text, str):
        raise InvalidRequest(where, f"field {name!r} is missing or not text", f'write "{name}": {{"str": "…"}}')
    if not text.strip():
        raise InvalidRequest(where, f"the {name.removeprefix('target_')} target is empty", "give the answer as text")
    return text.strip()
