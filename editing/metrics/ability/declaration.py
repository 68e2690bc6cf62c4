"""What a set of ability questions declares, and the question that it makes of a record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from editflow.editing.errors import InvalidCase

_IDS = ("idx", "index")


@dataclass(frozen=True)
class AbilityCase:
    """A question: the model is asked `prompt`, and `label`, one of the `options`, is right.

    From here on a label is the text of its option and never a number, so none can be turned round unseen.
    """

    set_name: str
    case_id: str
    prompt: str
    options: tuple[str, ...]
    label: str

    @property
    def answered(self) -> str:
        """The question with its right answer, as an example for others."""
        return f"{self.prompt} {self.label}"


@dataclass(frozen=True)
class AbilitySet:
    """How the records of one public set become questions.

    `template` is filled from the record's `fields`: a name is a text (0) or a list of so many texts. It ends
    with a word or sign, and an option follows it after a space. `labels` maps every value of `label_field` to
    the right option.
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
        """The question of a record; `fallback_id` is its id if the record has neither `idx` nor `index`.

        Raises InvalidCase, naming `where` the record is.
        """
        if not isinstance(record, Mapping):
            raise InvalidCase(where, f"a record of {self.name} must be an object", f"give it {self._wanted}")
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
    def _wanted(self) -> str:
        return ", ".join((*self.fields, self.label_field))

    def _text(self, where: str, record: Mapping[str, Any], name: str, count: int) -> str | list[str]:
        value = _present(where, record, name, f"{self.name} needs {self._wanted}")
        texts = [value] if count == 0 else value
        if not isinstance(texts, list) or not all(isinstance(text, str) and text.strip() for text in texts):
            what = "a text" if count == 0 else f"a list of {count} texts"
            raise InvalidCase(where, f"field {name!r} is not {what}, or empty", "fix the record or remove it")
        if count and len(texts) != count:
            raise InvalidCase(where, f"field {name!r} holds {len(texts)} texts", f"{self.name} needs {count}")
        stripped = [text.strip() for text in texts]
        return stripped if count else stripped[0]

    def _label(self, where: str, record: Mapping[str, Any]) -> str:
        label = _present(where, record, self.label_field, f"{self.name} needs {self._wanted}")
        if isinstance(label, str) and label.isdecimal():  # CSV has numbers as text
            label = int(label)
        # Not by `in` alone: True and 1.0 would pass for 1.
        if type(label) not in {int, str} or label not in self.labels:
            known = ", ".join(f"{key!r} ({option})" for key, option in self.labels.items())
            what = f"{self.label_field} {label!r} is none of {self.name}'s"
            raise InvalidCase(where, what, f"give one of {known}; test splits of the hub have none")
        return self.labels[label]


def _present(where: str, record: Mapping[str, Any], name: str, remedy: str) -> Any:
    if name not in record:
        has = ", ".join(map(str, record)) or "no fields"
        raise InvalidCase(where, f"field {name!r} is missing (it has {has})", remedy)
    return record[name]
