"""Settings as typed, `key.path=value`, without the secrets of addresses."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from editflow.flows.spec.address_fields import as_written
from editflow.flows.spec.toml_text import read_toml_text
from editflow.storage.address import Address, redact, wrap_addresses

if TYPE_CHECKING:
    from cyclopts import Token


def as_setting(text: str) -> Address:
    """A setting that may be shown, sent to Prefect and recorded; `whole` is what was typed."""
    if isinstance(text, Address):
        return text
    key, equals, value = text.partition("=")
    try:
        given = read_toml_text(f"value = {value}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError):
        given = value
    shown = wrap_addresses(given)
    if shown != given:
        from editflow.flows.spec.run_spec import RunSpec  # not before: most settings have nothing to hide

        parts = [part.strip() for part in key.split(".")]
        nested: Any = shown
        for part in reversed(parts):
            nested = {part: nested}
        shown = as_written(nested, RunSpec)
        for part in parts:
            shown = shown[part]
    if shown == given:
        return Address.with_display(text, redact(key) + equals + value)
    said = str(shown) if isinstance(shown, str) else json.dumps(shown, ensure_ascii=False, default=str)
    return Address.with_display(text, redact(key) + equals + said)


def typed_settings(_type: Any, tokens: Sequence[Token]) -> list[Address]:
    """What cyclopts makes of every --set."""
    return [as_setting(token.value) for token in tokens]
