"""The control of test_commands_run: a document that shows something wrong does not pass."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.blocks import blocks, commands
from docs.outputs import difference, translated
from docs.reader import Reader, displayed, environment
from docs.shell import Shell
from docs.test_commands_run import unknown_commands
from editflow.storage.artifacts.store import Lake

pytestmark = pytest.mark.slow

LONG = "0123456789abcdef" * 4


def fenced(language: str, text: str) -> str:
    return f"```{language}\n{text}\n```\n"


@pytest.fixture(params=[False, True], ids=["shell", "quick"])
def reader(lake: Lake, request: pytest.FixtureRequest) -> Iterator[Reader]:
    """In the folder of the handmade lake."""
    folder = Path(lake.uri).parent
    with Shell(folder, environment(os.environ)) as shell:
        yield Reader(folder, shell, quick=request.param)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (fenced("console", "$ editflow runns"), "runns ended with code 2"),
        (fenced("console", "$ editflow runs --wide"), "--wide ended with code 2"),
        (fenced("console", "$ echo one\ntwo"), "line 3: shown and not said: 'two'"),
        (fenced("console", "$ echo one; echo two\none"), "said and not shown: 'two'"),
        (fenced("console", "$ echo fine\nerror: no such thing"), "not with an error"),
        (fenced("console", "$ editflow show nothing\nerror: another reason"), "shown and not said"),
        (fenced("bash", "false"), "ended with code 1"),
        (fenced("sql", "SELECT colour FROM artifacts"), "the query failed"),
        (fenced("sql", "SELECT id FROM artifacts WHERE kind = 'colour'"), "no answer here"),
        (fenced("sql", "SELECT 1 AS one") + "\n" + fenced("text", "one\n2"), "shown and not said: '2'"),
        (fenced("python", "1 + 1") + "\n" + fenced("text", "3"), "shown and not said: '3'"),
    ],
)
def test_what_is_wrong_is_noticed(text: str, complaint: str, reader: Reader) -> None:
    with pytest.raises(AssertionError) as caught:
        reader.follow(blocks(text))
    assert complaint in str(caught.value)


def test_what_is_right_passes(reader: Reader) -> None:
    """The same kinds of blocks, and ids of one command in the next."""
    shown = f"{LONG[:12]}  state"
    state = "editflow query \"SELECT id[:12] AS id, kind FROM artifacts WHERE kind = 'state'\""
    asked = fenced("console", f"$ {state}\nid kind\n{shown}\n$ editflow lineage {LONG[:12]}\nstate {LONG[:12]}\n…")
    saved = (
        "<!-- file: note.txt -->\n" + fenced("text", "kept") + fenced("console", "$ cat note.txt  # what I kept\nkept")
    )
    failed = fenced("console", "$ editflow show nothing\nerror: 0 runs match 'nothing' in …")
    reader.follow(blocks(asked + saved + failed + fenced("python", "a = 1") + fenced("python", "a + 1")))


def test_a_python_error_is_not_swallowed(reader: Reader) -> None:
    with pytest.raises(ImportError):
        reader.follow(blocks(fenced("python", "from editflow.editing import nothing_of_that_name")))


def test_the_shell_keeps_its_folder_and_variables(tmp_path: Path) -> None:
    with Shell(tmp_path, dict(os.environ)) as shell:
        assert shell.run("mkdir a && cd a; export B=2; printf no-newline") == (0, "no-newline", "")
        assert shell.run("basename $PWD; echo $B; echo aside >&2; (exit 3)") == (3, "a\n2\n", "aside\n")


def test_commands_and_their_output_are_told_apart() -> None:
    text = "$ one\nsaid\n\n  more\n$ two \\\n  three  # remark\n$ four\n"
    found = [(c.plain, c.shown) for c in commands(blocks(fenced("console", text.rstrip()))[0])]
    assert found == [("one", "said\n\n  more\n"), ("two \\\n  three", ""), ("four", "")]
    with pytest.raises(ValueError, match="begins with"):
        list(commands(blocks(fenced("console", "editflow runs"))[0]))


def test_generated_parts_are_left_out() -> None:
    part = "<!-- generated: commands -->\n" + fenced("console", "editflow COMMAND") + "<!-- end: commands -->\n"
    (block,) = blocks(part + fenced("sql", "SELECT 1"))
    assert (block.language, block.line) == ("sql", 7)


def test_unknown_commands_are_noticed_in_a_line_too() -> None:
    text = "say `editflow runs`, then `editflow rnus last`, .venv/bin/editflow showw, the word editflow alone"
    assert unknown_commands(text, {"runs"}) == {"rnus"}


@pytest.mark.parametrize(
    ("shown", "real", "same"),
    [
        ("a  b\nc", "a b   \nc\n", True),
        ("a b", "a c", False),
        ("loss 0.50", "loss 0.51", True),
        ("loss 0.5", "loss 0.6", False),
        ("facts 100", "facts 99", False),
        ("done in 3.1 s", "done in 40 s", True),
        ("kind seconds\nstate 3", "kind  seconds\nstate 0.25", True),
        ("kind rows\nstate 3", "kind  rows\nstate 25", False),
        (f"{LONG[:12]} x", "fedcba987654 x", True),
        (f"{LONG[:12]} {LONG[:12]}", "fedcba987654 fedcba987655", False),
        ("a\n…\nd", "a\nb\nc\nd", True),
        ("a\n…", "a", True),
        ("a\n…\nd", "a\nb\nc", False),
        ("path …", "path /x/y z", True),
        ("started 2026-11-22T10:00:01.5+00:00", "started 2027-01-01T00:00:00.1+00:00", True),
        ("", "more", False),
    ],
)
def test_outputs_are_compared_up_to_what_may_differ(shown: str, real: str, same: bool) -> None:
    assert (difference(shown, real, {}) == "") == same


def test_ids_of_here_take_the_place_of_those_shown() -> None:
    names: dict[str, str] = {}
    assert not difference(f"state {LONG[:12]}", "state fedcba987654", names)
    assert translated(f"editflow lineage {LONG[:12]} --down", names) == "editflow lineage fedcba987654 --down"


def test_a_cell_shows_its_last_value() -> None:
    assert displayed("print('a')\n'b'", {}) == "a\n'b'\n"
    assert displayed("b = 1", {}) == ""


def test_the_shells_editflow_is_the_interpreters() -> None:
    assert environment(os.environ)["PATH"].startswith(str(Path(sys.executable).parent))
