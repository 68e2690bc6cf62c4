"""Text for a terminal: when colours and live lines are allowed, and how untrusted text is escaped."""

from __future__ import annotations

import os
import re

from rich.console import Console
from rich.markup import escape

MAX_CHARACTERS = 2000
"""Length to which messages are shortened."""

# Letters and marks of zero width; str.isprintable rejects the other invisible characters.
_INVISIBLE = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")


def console(*, stderr: bool = False, width: int | None = None, soft_wrap: bool = False) -> Console:
    """Standard output or error, with styles on a terminal or with FORCE_COLOR, and never with NO_COLOR."""
    return Console(
        stderr=stderr,
        width=width,
        soft_wrap=soft_wrap,
        highlight=False,
        emoji=False,  # `:100:` in a path or a message is not an emoji
        color_system=None if os.environ.get("NO_COLOR") else "auto",
    )


def is_live(console: Console) -> bool:
    """Whether lines may be redrawn: on a capable terminal, unless NO_COLOR asks for plain text."""
    return console.is_interactive and console.file.isatty() and not console.no_color


def safe(text: str) -> str:
    """The text with control characters, line ends, direction marks and zero-width characters as escapes like \\x1b.

    The result cannot control the terminal, and reorders or hides no text.
    """
    visible = text if text.isprintable() else "".join(c if c.isprintable() else _escaped(c) for c in text)
    return _INVISIBLE.sub(lambda match: _escaped(match[0]), visible)


def shortened(text: str, limit: int = MAX_CHARACTERS, *, tail: int = 0) -> str:
    """At most `limit` characters of a text, including its last `tail`; an ellipsis replaces the rest."""
    if len(text) <= limit:
        return text
    return f"{text[: limit - tail - 1]}…{text[len(text) - tail :]}"


def quoted(text: object) -> str:
    """Untrusted text for a line of markup: escaped, and at most MAX_CHARACTERS long."""
    return escape(safe(shortened(str(text), tail=MAX_CHARACTERS // 4)))


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
