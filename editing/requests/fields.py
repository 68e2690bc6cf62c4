"""Fields of records from files: each has the expected type, or is refused with its place."""

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
    """A record that remembers which of its fields were asked for: the others are what no reader takes."""

    def __init__(self, record: Mapping[str, Any]) -> None:
        super().__init__(record)
        self.left = set(record)

    def __getitem__(self, name: str) -> Any:
        self.left.discard(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        """As a dictionary's."""
        self.left.discard(name)
        return super().get(name, default)


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


def first(record: Mapping[str, Any], *names: str) -> Any:
    """What the first field of these names holds that is there and not null; None when none is."""
    return next((record[name] for name in names if record.get(name) is not None), None)


def text(where: str, record: Mapping[str, Any], *names: str) -> str:
    """The first field of these names that is there, as text without spaces around it; "" when none is."""
    name = next((name for name in names if record.get(name) is not None), None)
    return str(field(where, record, name, str)).strip() if name else ""


def texts(where: str, record: Mapping[str, Any], *names: str, alone: bool = False) -> tuple[str, ...]:
    """The first field of these names that is there, a list of texts or, `alone`, one text; each once, no space last."""
    value = first(record, *names)
    value = [] if value is None else value
    listed = [value] if alone and isinstance(value, str) else list(value) if isinstance(value, list | tuple) else None
    if listed is None or not all(isinstance(part, str) for part in listed):
        raise InvalidRequest(where, f"field {names[0]!r} is not a list of texts", 'write ["…", "…"]')
    return tuple(dict.fromkeys(part.rstrip() for part in listed if part.strip() or not isinstance(value, str)))


def answers(where: str, value: Any) -> tuple[str, ...]:
    """Answers as data sets have them: one text, a list of texts, or a list of such lists of which the first holds.

    Each once, without blank texts and nulls. Raises InvalidRequest for a value that is not text.
    """
    if isinstance(value, list | tuple):
        return tuple(dict.fromkeys(answer for part in value for answer in answers(where, part)))
    if not isinstance(value, str | None):
        raise InvalidRequest(where, f"an answer is {called(value)}: {value!r}", "make it text")
    return (value.strip(),) if value and value.strip() else ()


def question(where: str, prompt: Any, answer: Any) -> Question:
    """A prompt with its answers, of which there are none where they are blank; InvalidRequest unless both are given."""
    if not isinstance(prompt, str) or answer is None:
        raise InvalidRequest(where, f"a question without text or answer: {prompt!r} → {answer!r}", "give both as text")
    return Question(prompt.rstrip(), answers(where, answer))


def template(where: str, prompt: str, subject: str) -> str:
    """A prompt with `{}` in place of the subject, which it must name; a template stays as it is.

    The first place where the subject is whole words, else the first at all: Art is not in *Arthur loves Art*.
    """
    if "{}" in prompt:
        return prompt
    if not subject or subject not in prompt:
        what = f"subject {subject!r} is absent from its prompt {prompt!r}"
        raise InvalidRequest(where, what, "write `{}` where the subject belongs")
    whole = re.search(rf"(?<!\w){re.escape(subject)}(?!\w)", prompt)
    start = whole.start() if whole else prompt.index(subject)
    return f"{prompt[:start]}{{}}{prompt[start + len(subject) :]}"


def name_of(given: Any, *content: str) -> str:
    """The id that a record gives itself, else one that its content has."""
    if given is not None:
        return str(given)
    # What no UTF-8 can hold is refused, with its place, when the request is checked.
    return hashlib.sha256("\0".join(content).encode(errors="surrogatepass")).hexdigest()[:16]
