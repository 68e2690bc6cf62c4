"""Settings from the command line, `key.path=value`, with the secrets of addresses hidden."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from editflow.flows.spec.address_fields import unseal_other_fields
from editflow.flows.spec.toml_text import read_toml_text
from editflow.storage.address import Address, redact, wrap_addresses

if TYPE_CHECKING:
    from cyclopts import Token


def as_setting(text: str) -> Address:
    """A setting that is safe to show, send to Prefect and record; `whole` is the original text."""
    if isinstance(text, Address):
        return text
    key, equals, value = text.partition("=")
    try:
        given = read_toml_text(f"value = {value}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError):
        given = value
    shown = wrap_addresses(given)
    if shown != given:
        from editflow.flows.spec.run_spec import RunSpec  # slow to import, and most settings have no secret

        parts = [part.strip() for part in key.split(".")]
        nested: Any = shown
        for part in reversed(parts):
            nested = {part: nested}
        shown = unseal_other_fields(nested, RunSpec)
        for part in parts:
            shown = shown[part]
    if shown == given:
        return Address.with_display(text, redact(key) + equals + value)
    text_shown = str(shown) if isinstance(shown, str) else json.dumps(shown, ensure_ascii=False, default=str)
    return Address.with_display(text, redact(key) + equals + text_shown)


def typed_settings(_type: Any, tokens: Sequence[Token]) -> list[Address]:
    """Convert the tokens of --set for cyclopts."""
    return [as_setting(token.value) for token in tokens]
