"""Reads the small JSON files of a lake into dataclasses, and validates every field.

A record may come from an untrusted source, so this file defines the valid values of all fields. Ids and run ids become
parts of paths and cannot contain separators: ids are 64 hexadecimal digits, run ids are letters, digits, and three
punctuation marks. Only the readers (`Lake`, `Runs`) know and check whether a record belongs in its place.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
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
_MAX_COUNT = 2**63 - 1
"""The largest integer of the index and of Parquet."""
_MAX_SECONDS, _MAX_UNIX_TIME = 10**9, 2**40
"""Bounds in seconds: 30 years for a duration, and a time since 1970."""
_YEARS = (1970, 9000)


def is_id(text: object) -> bool:
    """Whether ``text`` is a whole artifact id: 64 lower-case hexadecimal digits."""
    return isinstance(text, str) and len(text) == 64 and _HEX.issuperset(text)


def is_run_id(text: str) -> bool:
    """Whether ``text`` can be a run id: letters, digits, '.', '_' and '-', starting with a letter or digit."""
    return _RUN.fullmatch(text) is not None


class Checked:
    """An annotation that pydantic applies: a field must pass `is_valid`, or its error says "is not `what`"."""

    def __init__(self, is_valid: Callable[[Any], bool], what: str) -> None:
        self._is_valid, self._what = is_valid, what

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        from pydantic_core import core_schema

        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def _check(self, value: Any) -> Any:
        if not self._is_valid(value):
            raise ValueError(f"is not {self._what}")
        return value


def _is_time(text: str) -> bool:
    """Whether ``text`` is a time as the lake writes it: ISO 8601 with a time zone, in a year that arithmetic allows."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return False
    is_bounded = time.tzinfo is not None and _YEARS[0] <= time.year <= _YEARS[1]
    return is_bounded and len(text) >= len("2026-11-22") and text[4] == text[7] == "-"


_COUNTS = ("depth", "key_width", "positions", "parameters", "rank", "tokens", "width", "found")
_TEXTS = ("folder", "dtype", "model_type", "source")


def _is_about(about: Any) -> bool:
    """Whether the facts beside a table (`about` in a manifest) have the types that readers expect."""
    counts = [about[name] for name in _COUNTS if about.get(name) is not None]
    texts = [about[name] for name in _TEXTS if name in about]
    return all(type(one) is int and 0 <= one <= _MAX_COUNT for one in counts) and all(type(one) is str for one in texts)


Id = Annotated[str, Checked(is_id, "an id of 64 digits")]
RunId = Annotated[str, Checked(is_run_id, "the id of a run")]
KindName = Annotated[str, Checked(_KIND.fullmatch, "the name of a kind")]
Hash = Annotated[str, Checked(lambda text: not text or is_id(text), "a SHA-256")]
"""Empty if it is unknown."""
Count = Annotated[int, Checked(lambda number: 0 <= number <= _MAX_COUNT, "a count")]
Seconds = Annotated[float, Checked(lambda number: 0 <= number <= _MAX_SECONDS, "a number of seconds")]
UnixTime = Annotated[float, Checked(lambda number: 0 <= number <= _MAX_UNIX_TIME, "a number of seconds since 1970")]
Time = Annotated[str, Checked(_is_time, "a time with a time zone")]
Summary = Annotated[Mapping[str, Any], Checked(is_summary, "a run's summary")]
About = Annotated[Mapping[str, Any], Checked(_is_about, "of the types that readers expect")]


def now() -> str:
    """The current time as records store it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def read_record(kind: type[Record], text: bytes | str) -> Record:
    """Parse a record. Raises ValueError unless every field is present and valid."""
    record: Record = _reader(kind).validate_json(text, strict=True)  # type: ignore[arg-type]  # classes are hashable
    return record


def record_json(record: Mapping[str, Any]) -> bytes:
    """The JSON text of a record's file."""
    return (json.dumps(record, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode()


def as_record(kind: type[Record], fields: object) -> Record:
    """The record with these fields by name. Raises ValueError as `read_record`."""
    record: Record = _reader(kind).validate_python(fields)  # type: ignore[arg-type]  # as above
    return record


@cache
def _reader(kind: type[Any]) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)
