"""Typed access to the fields of records. Errors name the record's place."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from editflow.editing.errors import InvalidRequest
from editflow.editing.requests.record import Question

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


class TrackedRecord(dict[str, Any]):
    """A record that tracks which of its fields have not been read."""

    def __init__(self, record: Mapping[str, Any]) -> None:
        super().__init__(record)
        self.unread = set(record)

    def __getitem__(self, name: str) -> Any:
        self.unread.discard(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        """See dict."""
        self.unread.discard(name)
        return super().get(name, default)


def type_name(value: Any) -> str:
    """Return a value's type in words, for errors."""
    return _WORDS.get(type(value), "this")


def field(where: str, record: Mapping[str, Any], name: str, kind: type) -> Any:
    """Return a required field of the given type. Raises InvalidRequest."""
    if name not in record:
        raise InvalidRequest(
            where, f"field {name!r} is missing", f"it has {', '.join(map(str, record)) or 'no fields'}"
        )
    if not isinstance(record[name], kind):
        raise InvalidRequest(
            where, f"field {name!r} is {_WORDS.get(type(record[name]), 'wrong')}", f"make it {_WORDS[kind]}"
        )
    return record[name]


def first(record: Mapping[str, Any], *names: str) -> Any:
    """Return the value of the first of these fields that is present and not null, or None."""
    return next((record[name] for name in names if record.get(name) is not None), None)


def text(where: str, record: Mapping[str, Any], *names: str) -> str:
    """Return the first of these fields that is present, as text without outer spaces, or ""."""
    name = next((name for name in names if record.get(name) is not None), None)
    return str(field(where, record, name, str)).strip() if name else ""


def texts(where: str, record: Mapping[str, Any], *names: str, alone: bool = False) -> tuple[str, ...]:
    """Return the first of these fields that is present, as distinct texts without trailing spaces.

    The field must be a list of texts; `alone` also accepts a single text. Raises InvalidRequest.
    """
    value = first(record, *names)
    value = [] if value is None else value
    listed = [value] if alone and isinstance(value, str) else list(value) if isinstance(value, list | tuple) else None
    if listed is None or not all(isinstance(part, str) for part in listed):
        raise InvalidRequest(where, f"field {names[0]!r} is not a list of texts", 'write ["…", "…"]')
    return tuple(dict.fromkeys(part.rstrip() for part in listed if part.strip() or not isinstance(value, str)))


def answers(where: str, value: Any) -> tuple[str, ...]:
    """Return the distinct answers of a text or a list, which may be nested, without blank texts and nulls.

    Raises InvalidRequest for a value that is not text.
    """
    if isinstance(value, list | tuple):
        return tuple(dict.fromkeys(answer for part in value for answer in answers(where, part)))
    if not isinstance(value, str | None):
        raise InvalidRequest(where, f"an answer is {type_name(value)}: {value!r}", "make it text")
    return (value.strip(),) if value and value.strip() else ()


def question(where: str, prompt: Any, answer: Any) -> Question:
    """Return a question; a blank answer gives no answers. Raises InvalidRequest if prompt or answer is missing."""
    if not isinstance(prompt, str) or answer is None:
        raise InvalidRequest(where, f"a question without text or answer: {prompt!r} → {answer!r}", "give both as text")
    return Question(prompt.rstrip(), answers(where, answer))


def template(where: str, prompt: str, subject: str) -> str:
    """Replace the subject in a prompt with `{}`, unless the prompt has a `{}` already.

    Prefers the first occurrence as whole words: for the subject Art in *Arthur loves Art*, that is the last word.
    Raises InvalidRequest if the prompt does not contain the subject.
    """
    if "{}" in prompt:
        return prompt
    if not subject or subject not in prompt:
        what = f"subject {subject!r} is absent from its prompt {prompt!r}"
        raise InvalidRequest(where, what, "write `{}` where the subject belongs")
    whole = re.search(rf"(?<!\w){re.escape(subject)}(?!\w)", prompt)
    start = whole.start() if whole else prompt.index(subject)
    return f"{prompt[:start]}{{}}{prompt[start + len(subject) :]}"


def record_id(given: Any, *content: str) -> str:
    """Return the record's own id as text, or a hash of its content if it has none."""
    if given is not None:
        return str(given)
    # `record.check` refuses texts that UTF-8 cannot encode, with their place.
    return hashlib.sha256("\0".join(content).encode(errors="surrogatepass")).hexdigest()[:16]
