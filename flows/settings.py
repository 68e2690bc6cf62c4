"""Settings as typed, `key.path=value`, whose addresses keep their secrets to themselves."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from storage.address import Address, cut, sealed

if TYPE_CHECKING:
    from cyclopts import Token


PARTS = 32
"""Most parts of a dotted key."""
_QUOTED = re.compile(r'"(?:\\.|[^"\\\n])*+"|\'[^\'\n]*+\'')
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
    if shown == given:
        return Address.shown_as(text, cut(key) + equals + value)
    said = str(shown) if isinstance(shown, str) else json.dumps(shown, ensure_ascii=False, default=str)
    return Address.shown_as(text, cut(key) + equals + said)


def typed_settings(_type: Any, tokens: Sequence[Token]) -> list[Address]:
    """What cyclopts makes of every --set."""
    return [as_setting(token.value) for token in tokens]
