"""Reads the small JSON files of a lake into dataclasses, with checks of every field.

A record may come from anyone, so the valid values of its fields are defined here, in one place. Parts of a path have an
alphabet without separators: ids are 64 hexadecimal digits, run ids are letters, digits and three punctuation marks.
Its reader (`Lake`, `Runs`) checks whether a record belongs in its place: only the reader knows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from editflow.storage.run_values import is_summary

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, TypeAdapter
    from pydantic_core import CoreSchema

Record = TypeVar("Record")

_HEX = frozenset("0123456789abcdef")
_RUN = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,127}", re.ASCII)
_KIND = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)
_LARGEST = 2**63 - 1
"""The index and Parquet have no larger whole number."""
_LONGEST, _LATEST = 10**9, 2**40
"""Seconds that something took (30 years), and those since 1970."""
_YEARS = (1970, 9000)


def is_id(text: object) -> bool:
    """Whether ``text`` is a whole artifact id: 64 lower-case hexadecimal digits."""
    return isinstance(text, str) and len(text) == 64 and _HEX.issuperset(text)


def is_run_id(text: str) -> bool:
    """Whether a text can be the id of a run: letters, digits, '.', '_' and '-', the first one a letter or digit."""
    return _RUN.fullmatch(text) is not None


class Checked:
    """What a field must be beyond its type; a mark for an annotation, which pydantic knows how to use."""

    def __init__(self, holds: Callable[[Any], bool], what: str) -> None:
        self._holds, self._what = holds, what

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        from pydantic_core import core_schema

        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def _check(self, value: Any) -> Any:
        if not self._holds(value):
            raise ValueError(f"is not {self._what}")
        return value


def _is_time(text: str) -> bool:
    """Whether a text is a time as the lake writes it: SQL can read it, it can be compared with any other
    time, and seconds can be added or subtracted, since its year is within bounds."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return False
    known = at.tzinfo is not None and _YEARS[0] <= at.year <= _YEARS[1]
    return known and len(text) >= len("2026-11-22") and text[4] == text[7] == "-"


_COUNTS = ("depth", "key_width", "positions", "parameters", "rank", "tokens", "width", "found")
_TEXTS = ("folder", "dtype", "model_type", "source")


def _is_about(about: Any) -> bool:
    """Whether the values beside a table have the types that readers expect."""
    counts = [about[name] for name in _COUNTS if about.get(name) is not None]
    texts = [about[name] for name in _TEXTS if name in about]
    return all(type(one) is int and 0 <= one <= _LARGEST for one in counts) and all(type(one) is str for one in texts)


Id = Annotated[str, Checked(is_id, "an id of 64 digits")]
RunId = Annotated[str, Checked(is_run_id, "the id of a run")]
KindName = Annotated[str, Checked(_KIND.fullmatch, "the name of a kind")]
Hash = Annotated[str, Checked(lambda text: not text or is_id(text), "a SHA-256")]
"""None where it is empty."""
Count = Annotated[int, Checked(lambda number: 0 <= number <= _LARGEST, "a count")]
Seconds = Annotated[float, Checked(lambda number: 0 <= number <= _LONGEST, "a number of seconds")]
UnixTime = Annotated[float, Checked(lambda number: 0 <= number <= _LATEST, "a number of seconds since 1970")]
Time = Annotated[str, Checked(_is_time, "a time with its zone")]
Summary = Annotated[Mapping[str, Any], Checked(is_summary, "a run's summary")]
About = Annotated[Mapping[str, Any], Checked(_is_about, "of the types that its readers know")]


def read_record(kind: type[Record], text: bytes | str) -> Record:
    """The record that JSON text holds; ValueError unless every field is there and of the type it declares."""
    record: Record = _reader(kind).validate_json(text, strict=True)  # type: ignore[arg-type]  # classes are hashable
    return record


def record_json(record: Mapping[str, Any]) -> bytes:
    """A record as its file holds it."""
    return (json.dumps(record, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode()


def as_record(kind: type[Record], fields: object) -> Record:
    """The record of these fields, by name; ValueError as `read_record` raises it."""
    record: Record = _reader(kind).validate_python(fields)  # type: ignore[arg-type]  # as above
    return record


@cache
def _reader(kind: type[Any]) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)
