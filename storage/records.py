"""Reading the small JSON files of the archive into the dataclasses that they were written from."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from pydantic import TypeAdapter

Record = TypeVar("Record")


def read_record(kind: type[Record], text: bytes | str) -> Record:
    """The record that JSON text holds; ValueError unless every field is there and of the type it declares."""
    record: Record = _reader(kind).validate_json(text, strict=True)  # type: ignore[arg-type]  # classes are hashable
    return record


@cache
def _reader(kind: type[Any]) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)
