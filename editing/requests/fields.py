"""Fields of records as they come from files: each is of the type that it should have, or refused with its place."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from editing.errors import InvalidRequest
from editing.requests.record import Question

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


def called(value: Any) -> str:
    """What a reader of the file would call a value's type."""
    return _WORDS.get(type(value), "this")


def field(where: str, record: Mapping[str, Any], name: str, kind: type) -> Any:
    """A field that must be there; raises InvalidRequest."""
    if name not in record:
        raise InvalidRequest(
            where, f"field {name!r} is missing", f"it has {', '.join(map(str, record)) or 'no fields'}"
        )
    if not isinstance(record[name], kind):
        raise InvalidRequest(
            where, f"field {name!r} is {_WORDS.get(type(record[name]), 'wrong')}", f"make it {_WORDS[kind]}"
        )
    return record[name]


def text(where: str, record: Mapping[str, Any], *names: str) -> str:
    """The first field of these names that is there, as text without spaces around it; "" when none is."""
    name = next((name for name in names if record.get(name) is not None), None)
    return str(field(where, record, name, str)).strip() if name else ""


def texts(where: str, record: Mapping[str, Any], *names: str, alone: bool = False) -> tuple[str, ...]:
    """The first field of these names that is there, a list of texts or, `alone`, one text; each once, no space last."""
    value: Any = next((record[name] for name in names if record.get(name) is not None), [])
    listed = [value] if alone and isinstance(value, str) else list(value) if isinstance(value, list | tuple) else None
    if listed is None or not all(isinstance(part, str) for part in listed):
        raise InvalidRequest(where, f"field {names[0]!r} is not a list of texts", 'write ["…", "…"]')
    return tuple(dict.fromkeys(part.rstrip() for part in listed if part.strip() or not isinstance(value, str)))


def answers(value: Any) -> tuple[str, ...]:
    """Answers as data sets have them: one text, a list of texts, or a list of such lists of which the first holds."""
    if isinstance(value, str):
        return (value.strip(),)
    found = [answers(part) for part in value] if isinstance(value, list | tuple) else []
    return tuple(dict.fromkeys(answer for part in found for answer in part if answer))


def question(where: str, prompt: Any, answer: Any) -> Question:
    """A prompt with its answers; raises InvalidRequest unless both are texts."""
    found = answers(answer)
    if not isinstance(prompt, str) or not found:
        raise InvalidRequest(where, f"a question without text or answer: {prompt!r} → {answer!r}", "give both as text")
    return Question(prompt.rstrip(), found)


def template(where: str, prompt: str, subject: str) -> str:
    """A prompt with `{}` in place of the subject, which it must name; a template stays as it is."""
    if "{}" in prompt:
        return prompt
    if not subject or subject not in prompt:
        what = f"subject {subject!r} is absent from its prompt {prompt!r}"
        raise InvalidRequest(where, what, "write `{}` where the subject belongs")
    return prompt.replace(subject, "{}", 1)


def name_of(given: Any, *content: str) -> str:
    """The id that a record gives itself, else one that its content has."""
    if given is not None:
        return str(given)
    # What no UTF-8 can hold is refused, with its place, when the request is checked.
    return hashlib.sha256("\0".join(content).encode(errors="surrogatepass")).hexdigest()[:16]
