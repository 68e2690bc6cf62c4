"""Settings as typed, `key.path=value`, whose addresses keep their secrets to themselves."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_args

from storage.address import Address, cut, opened, sealed

if TYPE_CHECKING:
    from cyclopts import Token
    from pydantic import BaseModel


PARTS = 32
"""Most parts of a dotted key."""
_QUOTED = re.compile(
    r'"""(?:\\[\s\S]|(?!""")[^\\])*+"{3,5}|' + r"'''(?:(?!''')[\s\S])*+'{3,5}|"
    r'"(?:\\.|[^"\\\n])*+"|' + r"'[^'\n]*+'|#[^\n]*+"
)
"""Texts and comments, which hold no key. From the start on, each begins where the reader of TOML sees it begin."""
_LONG_KEY = re.compile(rf"(?<![\w-])(?:[\w-]++[ \t]*+\.[ \t]*+){{{PARTS}}}")


def read_toml_text(text: str) -> dict[str, Any]:
    """What TOML says. Raises TOMLDecodeError, also for a key or a number of so many parts that reading takes long."""
    if _LONG_KEY.search(_QUOTED.sub("q", text)):
        raise tomllib.TOMLDecodeError(f"a key has more than {PARTS} parts")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise
    except ValueError as error:  # of Python itself, of a number with thousands of digits
        raise tomllib.TOMLDecodeError(str(error).partition(":")[0]) from None


def as_setting(text: str) -> Address:
    """A setting that may be shown, sent to Prefect and recorded; `whole` is what was typed."""
    if isinstance(text, Address):
        return text
    key, equals, value = text.partition("=")
    try:
        given = read_toml_text(f"value = {value}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError):
        given = value
    shown = sealed(given)
    if shown != given:
        from flows.spec import RunSpec  # not before: most settings have nothing to hide

        parts = [part.strip() for part in key.split(".")]
        nested: Any = shown
        for part in reversed(parts):
            nested = {part: nested}
        shown = as_written(nested, RunSpec)
        for part in parts:
            shown = shown[part]
    if shown == given:
        return Address.shown_as(text, cut(key) + equals + value)
    said = str(shown) if isinstance(shown, str) else json.dumps(shown, ensure_ascii=False, default=str)
    return Address.shown_as(text, cut(key) + equals + said)


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
            found[key] = opened(raw[key])
    return found


def _has_address(kind: Any) -> bool:
    """Whether a field is an address, or holds some; a section in a list may hold them in any of its keys."""
    return kind is Address or hasattr(kind, "model_fields") or any(map(_has_address, get_args(kind)))


def typed_settings(_type: Any, tokens: Sequence[Token]) -> list[Address]:
    """What cyclopts makes of every --set."""
    return [as_setting(token.value) for token in tokens]
