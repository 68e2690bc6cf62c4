"""The declaration of a set of ability questions, and how it turns a record into a question."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from editflow.editing.errors import InvalidCase

_IDS = ("idx", "index")


@dataclass(frozen=True)
class AbilityCase:
    """A question: its prompt, its options, and its label, which is the right option.

    The label is the option's text and never a number, so labels cannot be swapped unnoticed.
    """

    set_name: str
    case_id: str
    prompt: str
    options: tuple[str, ...]
    label: str

    @property
    def answered(self) -> str:
        """The question with its right answer, as an example before other questions."""
        return f"{self.prompt} {self.label}"


@dataclass(frozen=True)
class AbilitySet:
    """How the records of one public set become questions.

    `fields` maps names of a record's fields to 0 for a text or n for a list of n texts; they fill `template`. The
    template ends with a word or sign, and an option follows after a space. `labels` maps each value of `label_field`
    to the right option.
    """

    name: str
    source: str
    template: str
    fields: Mapping[str, int]
    labels: Mapping[int | str, str]
    label_field: str = "label"
    options: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", tuple(dict.fromkeys(self.labels.values())))

    def case(self, where: str, record: Any, fallback_id: str) -> AbilityCase:
        """Return the question of a record; `fallback_id` is its id if the record has neither `idx` nor `index`.

        Raises InvalidCase with the record's place `where`.
        """
        if not isinstance(record, Mapping):
            raise InvalidCase(where, f"a record of {self.name} must be an object", f"give it {self._required}")
        texts = {name: self._text(where, record, name, count) for name, count in self.fields.items()}
        case_id = next((str(record[name]) for name in _IDS if record.get(name) is not None), fallback_id)
        case = AbilityCase(self.name, case_id, self.template.format(**texts), self.options, self._label(where, record))
        try:
            f"{case.case_id}{case.prompt}".encode()
        except UnicodeEncodeError:
            raise InvalidCase(
                where, "a text holds half a character", "write the whole one (a surrogate pair)"
            ) from None
        return case

    @property
    def _required(self) -> str:
        return ", ".join((*self.fields, self.label_field))

    def _text(self, where: str, record: Mapping[str, Any], name: str, count: int) -> str | list[str]:
        value = self._field(where, record, name)
        texts = [value] if count == 0 else value
        if not isinstance(texts, list) or not all(isinstance(text, str) and text.strip() for text in texts):
            what = "a text" if count == 0 else f"a list of {count} texts"
            raise InvalidCase(where, f"field {name!r} is not {what}, or empty", "fix the record or remove it")
        if count and len(texts) != count:
            raise InvalidCase(where, f"field {name!r} holds {len(texts)} texts", f"{self.name} needs {count}")
        stripped = [text.strip() for text in texts]
        return stripped if count else stripped[0]

    def _label(self, where: str, record: Mapping[str, Any]) -> str:
        label = self._field(where, record, self.label_field)
        if isinstance(label, str) and label.isdecimal():  # CSV has numbers as text
            label = int(label)
        # `in` alone would accept True and 1.0 as 1.
        if type(label) not in {int, str} or label not in self.labels:
            known = ", ".join(f"{key!r} ({option})" for key, option in self.labels.items())
            what = f"{self.label_field} {label!r} is none of {self.name}'s"
            raise InvalidCase(where, what, f"give one of {known}; test splits on the hub have no labels")
        return self.labels[label]

    def _field(self, where: str, record: Mapping[str, Any], name: str) -> Any:
        if name not in record:
            has = ", ".join(map(str, record)) or "no fields"
            raise InvalidCase(where, f"field {name!r} is missing (it has {has})", f"{self.name} needs {self._required}")
        return record[name]
