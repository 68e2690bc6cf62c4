"""The fields of a spec that are addresses, whose secrets are hidden."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, get_args

from editflow.storage.address import Address, unwrap_addresses

if TYPE_CHECKING:
    from pydantic import BaseModel


def unseal_other_fields(raw: Any, section: type[BaseModel]) -> Any:
    """A section's raw values in which only address fields are `Address` objects; other texts are plain strings."""
    if not isinstance(raw, Mapping):
        return raw
    found = dict(raw)
    for key, field in section.model_fields.items():
        if key not in raw:
            continue
        if isinstance(field.annotation, type) and hasattr(field.annotation, "model_fields"):
            found[key] = unseal_other_fields(raw[key], field.annotation)
        elif not _holds_address(field.annotation):
            found[key] = unwrap_addresses(raw[key])
    return found


def _holds_address(annotation: Any) -> bool:
    """Whether a field is or holds an address; a section in a list may hold one in any of its keys."""
    return (
        annotation is Address or hasattr(annotation, "model_fields") or any(map(_holds_address, get_args(annotation)))
    )
