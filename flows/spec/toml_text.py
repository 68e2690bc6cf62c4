"""TOML from untrusted files: standard TOML, except keys and numbers that take too long to read."""

from __future__ import annotations

import re
import tomllib
from typing import Any

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
