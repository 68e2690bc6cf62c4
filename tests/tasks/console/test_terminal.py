"""Untrusted text is escaped, and live lines appear on terminals only."""

from __future__ import annotations

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text
from support.terminals import COMMANDING, STYLE, in_pipe, on_terminal, script

from editflow.tasks.console.terminal import quoted, safe, shortened

ESCAPE = "\x1b"
HOSTILE = (
    "<b>[red]x[/red]</b> \x1b[31m \x1b]8;;http://a\x1b\\ \x07 \u202eright\u202c \u200bthin \x9b7m \r\n \udc80 \ufeff"
)
SEARCH = """
from editflow.tasks.console.progress import bar, working

with bar({label!r}, 20, "facts") as advance:
    for _ in range(20):
        advance(0.5)
        advance(0.5)
with working({label!r}):
    pass
print("done")
"""


@given(st.text())
def test_escaped_text_has_no_control_characters(text: str) -> None:
    assert not COMMANDING.search(safe(text))
    assert safe(text).isprintable()


def test_raw_text_has_control_characters() -> None:
    """The control."""
    assert {"\x1b", "\x07", "\u202e", "\u200b", "\x9b"} <= set(COMMANDING.findall(HOSTILE))


@given(st.text(string.ascii_letters + string.digits + "äßπ漢字 مرحبا …—[]{}\\", max_size=80))
def test_ordinary_text_is_unchanged(text: str) -> None:
    assert safe(text) == text


@given(st.text())
def test_quoted_text_is_not_markup(text: str) -> None:
    assert Text.from_markup(f"[bold]{quoted(text)}[/]", emoji=False).plain == safe(text)


def test_unquoted_text_is_markup() -> None:
    """The control."""
    assert Text.from_markup("[bold][red]x[/][/]").plain == "x"


@given(st.text(), st.integers(10, 40), st.integers(0, 8))
def test_a_shortened_text_keeps_its_ends(text: str, limit: int, tail: int) -> None:
    short = shortened(text, limit, tail=tail)
    assert len(short) == min(len(text), limit)
    assert text.startswith(short.partition("…")[0]) or "…" in text
    assert text.endswith(short[len(short) - tail :])


def test_a_terminal_shows_label_bar_count_speed_and_time_left(subtests: pytest.Subtests) -> None:
    output = on_terminal(script(SEARCH.format(label="target values 3")))
    for part in ("target values 3", "━", "20/20", "facts/s", "left", f"{ESCAPE}[?25l", "target values 3 …"):
        with subtests.test(part):
            assert part in output
    assert output.rstrip().endswith("done")
    assert f"{ESCAPE}[?25h" in output, "the cursor is back"


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_progress_stays_on_one_line(columns: int) -> None:
    drawn = on_terminal(script(SEARCH.format(label="evaluation of batch 3")), columns=columns)
    lines = [STYLE.sub("", line) for line in re.split(r"[\r\n]+|\x1b\[2K", drawn) if "evaluation" in line]
    assert len(lines) >= 3
    assert max(map(len, lines)) <= columns
    assert all("━" in line and "left" in line for line in lines[:-1]) or columns == 40
    assert len(re.findall(r"\x1b\[1A", drawn)) <= 3, "each move up one line erases a drawn line"


@pytest.mark.parametrize("plain", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {"TTY_INTERACTIVE": "0", "NO_COLOR": "1"}])
def test_a_plain_terminal_shows_no_live_line(plain: dict[str, str]) -> None:
    assert on_terminal(script(SEARCH.format(label="target values")), **plain) == "done\n"


@pytest.mark.parametrize("more", [{}, {"FORCE_COLOR": "1"}, {"TTY_COMPATIBLE": "1"}])
def test_a_pipe_receives_no_live_line(more: dict[str, str]) -> None:
    assert in_pipe(script(SEARCH.format(label="target values")), **more) == ("done\n", "")


def test_labels_are_escaped() -> None:
    output = on_terminal(script(SEARCH.format(label=HOSTILE.replace("\udc80", ""))), columns=250)
    assert "\\u202eright" in output
    assert "[red]x" in output
    for part in ("\x07", "\u202e", "\u200b", "\x9b", f"{ESCAPE}]8", f"{ESCAPE}[31m "):
        assert part not in output
