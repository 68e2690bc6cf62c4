"""The control for test_commands_run: a document with a wrong command or output fails."""

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
    """A reader in the folder of the handmade lake."""
    folder = Path(lake.uri).parent
    with Shell(folder, environment(os.environ)) as shell:
        yield Reader(folder, shell, quick=request.param)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (fenced("console", "$ editflow runns"), "runns ended with code 2"),
        (fenced("console", "$ editflow runs --wide"), "--wide ended with code 2"),
        (fenced("console", "$ echo one\ntwo"), "line 3: shown but not printed: 'two'"),
        (fenced("console", "$ echo one; echo two\none"), "printed but not shown: 'two'"),
        (fenced("console", "$ echo fine\nerror: no such thing"), "not with an error"),
        (fenced("console", "$ editflow show nothing\nerror: another reason"), "shown but not printed"),
        (fenced("bash", "false"), "ended with code 1"),
        (fenced("sql", "SELECT colour FROM artifacts"), "the query failed"),
        (fenced("sql", "SELECT id FROM artifacts WHERE kind = 'colour'"), "returns no rows"),
        (fenced("sql", "SELECT 1 AS one") + "\n" + fenced("text", "one\n2"), "shown but not printed: '2'"),
        (fenced("python", "1 + 1") + "\n" + fenced("text", "3"), "shown but not printed: '3'"),
    ],
)
def test_errors_in_documents_are_detected(text: str, complaint: str, reader: Reader) -> None:
    with pytest.raises(AssertionError) as caught:
        reader.follow(blocks(text))
    assert complaint in str(caught.value)


def test_a_correct_document_passes(reader: Reader) -> None:
    """The same kinds of blocks; ids printed by one command are used in the next."""
    shown = f"{LONG[:12]}  state"
    state = "editflow query \"SELECT id[:12] AS id, kind FROM artifacts WHERE kind = 'state'\""
    asked = fenced("console", f"$ {state}\nid kind\n{shown}\n$ editflow lineage {LONG[:12]}\nstate {LONG[:12]}\n…")
    saved = (
        "<!-- file: note.txt -->\n" + fenced("text", "kept") + fenced("console", "$ cat note.txt  # what I kept\nkept")
    )
    failed = fenced("console", "$ editflow show nothing\nerror: 0 runs match 'nothing' in …")
    reader.follow(blocks(asked + saved + failed + fenced("python", "a = 1") + fenced("python", "a + 1")))


def test_python_errors_are_raised(reader: Reader) -> None:
    with pytest.raises(ImportError):
        reader.follow(blocks(fenced("python", "from editflow.editing import nothing_of_that_name")))


def test_the_shell_keeps_its_folder_and_variables(tmp_path: Path) -> None:
    with Shell(tmp_path, dict(os.environ)) as shell:
        assert shell.run("mkdir a && cd a; export B=2; printf no-newline") == (0, "no-newline", "")
        assert shell.run("basename $PWD; echo $B; echo aside >&2; (exit 3)") == (3, "a\n2\n", "aside\n")


def test_commands_are_separated_from_their_output() -> None:
    text = "$ one\nsaid\n\n  more\n$ two \\\n  three  # remark\n$ four\n"
    found = [(c.plain, c.shown) for c in commands(blocks(fenced("console", text.rstrip()))[0])]
    assert found == [("one", "said\n\n  more\n"), ("two \\\n  three", ""), ("four", "")]
    with pytest.raises(ValueError, match="begins with"):
        list(commands(blocks(fenced("console", "editflow runs"))[0]))


def test_generated_parts_are_left_out() -> None:
    part = "<!-- generated: commands -->\n" + fenced("console", "editflow COMMAND") + "<!-- end: commands -->\n"
    (block,) = blocks(part + fenced("sql", "SELECT 1"))
    assert (block.language, block.line) == ("sql", 7)


def test_unknown_commands_in_running_text_are_detected() -> None:
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
def test_outputs_are_compared_with_tolerance(shown: str, real: str, same: bool) -> None:
    assert (difference(shown, real, {}) == "") == same


def test_shown_ids_are_replaced_by_real_ones() -> None:
    names: dict[str, str] = {}
    assert not difference(f"state {LONG[:12]}", "state fedcba987654", names)
    assert translated(f"editflow lineage {LONG[:12]} --down", names) == "editflow lineage fedcba987654 --down"


def test_a_cell_prints_its_last_value() -> None:
    assert displayed("print('a')\n'b'", {}) == "a\n'b'\n"
    assert displayed("b = 1", {}) == ""


def test_the_shell_uses_the_editflow_of_this_interpreter() -> None:
    assert environment(os.environ)["PATH"].startswith(str(Path(sys.executable).parent))
