"""Which texts of a spec are addresses, whose secrets are not shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, get_args

from editflow.storage.address import Address, unwrap_addresses

if TYPE_CHECKING:
    from pydantic import BaseModel


def as_written(raw: Any, section: type[BaseModel]) -> Any:
    """A section's raw values with every text as it was written, but for those of fields that are addresses."""
    if not isinstance(raw, Mapping):
        return raw
    found = dict(raw)
    for key, field in section.model_fields.items():
        if key not in raw:
            continue
        if isinstance(field.annotation, type) and hasattr(field.annotation, "model_fields"):
            found[key] = as_written(raw[key], field.annotation)
        elif not _has_address(field.annotation):
            found[key] = unwrap_addresses(raw[key])
    return found


def _has_address(kind: Any) -> bool:
    """Whether a field is an address, or holds some; a section in a list may hold them in any of its keys."""
    return kind is Address or hasattr(kind, "model_fields") or any(map(_has_address, get_args(kind)))
