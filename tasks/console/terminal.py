"""Text for a terminal: where colours and live lines are allowed, and how foreign text is made harmless."""

from __future__ import annotations

import os
import re

from rich.console import Console
from rich.markup import escape

SHOWN = 2000
"""Most characters of a message that are shown."""

# Letters and marks that take no room; str.isprintable knows the other invisible characters.
_INVISIBLE = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")


def console(*, stderr: bool = False, width: int | None = None, soft_wrap: bool = False) -> Console:
    """Standard output or error. Styles on a terminal or with FORCE_COLOR, and none of any kind with NO_COLOR."""
    return Console(
        stderr=stderr,
        width=width,
        soft_wrap=soft_wrap,
        highlight=False,
        emoji=False,  # `:100:` in a path or a message is no emoji
        color_system=None if os.environ.get("NO_COLOR") else "auto",
    )


def is_live(console: Console) -> bool:
    """Whether lines may be redrawn: on a real terminal that can, and not with NO_COLOR, which asks for plain text."""
    return console.is_interactive and console.file.isatty() and not console.no_color


def safe(text: str) -> str:
    """The text with everything that commands a terminal, reorders or hides written as an escape such as \\x1b.

    That is control characters, line ends, marks of direction, and characters that take no room.
    """
    shown = text if text.isprintable() else "".join(c if c.isprintable() else _escaped(c) for c in text)
    return _INVISIBLE.sub(lambda found: _escaped(found[0]), shown)


def shortened(text: str, limit: int = SHOWN, *, tail: int = 0) -> str:
    """At most `limit` characters of a text, its last `tail` among them; an ellipsis replaces the rest."""
    if len(text) <= limit:
        return text
    return f"{text[: limit - tail - 1]}…{text[len(text) - tail :]}"


def quoted(text: object) -> str:
    """Text from elsewhere as a part of a line of markup: harmless, and at most `SHOWN` characters."""
    return escape(safe(shortened(str(text), tail=SHOWN // 4)))


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
