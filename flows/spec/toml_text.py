"""TOML from untrusted files: standard TOML without keys and numbers that take too long to parse."""

from __future__ import annotations

import re
import tomllib
from typing import Any

RawSpec = dict[str, Any]
"""A spec, or part of one, as TOML gives it: not validated."""
MAX_KEY_PARTS = 32
"""Maximum number of parts of a dotted key."""
_QUOTED = re.compile(
    r'"""(?:\\[\s\S]|(?!""")[^\\])*+"{3,5}|' + r"'''(?:(?!''')[\s\S])*+'{3,5}|"
    r'"(?:\\.|[^"\\\n])*+"|' + r"'[^'\n]*+'|#[^\n]*+"
)
"""Strings and comments, which contain no key. Matched from the start, each begins where a TOML parser sees it begin."""
_LONG_KEY = re.compile(rf"(?<![\w-])(?:[\w-]++[ \t]*+\.[ \t]*+){{{MAX_KEY_PARTS}}}")


def read_toml_text(text: str) -> RawSpec:
    """Parse TOML. Raises TOMLDecodeError, also for a key or number so long that parsing would be slow."""
    if _LONG_KEY.search(_QUOTED.sub("q", text)):
        raise tomllib.TOMLDecodeError(f"a key has more than {MAX_KEY_PARTS} parts")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise
    except ValueError as error:  # raised by Python for a number with thousands of digits
        raise tomllib.TOMLDecodeError(str(error).partition(":")[0]) from None
