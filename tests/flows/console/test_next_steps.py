"""The last line of every command names next commands that can be run unchanged and use the same lake."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import tiny_world
from support.tiny_world import Answer, World, editflow

from editflow.flows.console.next_steps import QUESTION, question, shell_command
from editflow.storage.artifacts.store import Lake
from editflow.storage.records.runs import Runs

pytestmark = pytest.mark.exhaustive

FOLDERS = ["lake", "my lake", 'a\'b "c" $HOME !e', "ä [red] :100:", "-lake"]
UNINDEXED = (FOLDERS[3],)
"""Delta opens no table under such a path: queries read the lake without an index, so there is none to verify."""


def hinted(answer: Answer) -> list[list[str]]:
    """The words of each command in the last line, split as bash does."""
    *_, last = answer.err.splitlines()
    assert last.startswith("next: "), answer.err
    assert "next:" not in answer.out
    return [words(command) for command in re.findall(r"`(editflow [^`]*)`", last)]


def words(command: str) -> list[str]:
    done = subprocess.run(["bash", "-c", f"printf '%s\\0' {command}"], capture_output=True, check=True)
    return done.stdout.decode().split("\0")[:-1]


@pytest.fixture(params=FOLDERS)
def lake(request: pytest.FixtureRequest, reference, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A lake with a finished run in a subfolder of the working folder, by its name."""
    shutil.copytree(reference.lake, tmp_path / request.param)
    monkeypatch.chdir(tmp_path)
    return str(request.param)


def test_hints_of_commands_that_read_can_be_run(lake: str, reference) -> None:
    """Each hint can be run unchanged, whether a flag or the environment names the lake, and gives another hint."""
    state = reference.record["state"]
    commands = [
        ["runs"],
        ["show", "last"],
        ["lineage", state],
        ["lineage", state, "--down"],
        ["lineage", state, "--to", "tiny"],
        ["lineage", state, "--sources"],
        ["lineage", state, "--results"],
        ["query", "SELECT id FROM artifacts LIMIT 1"],
        ["query", "SELECT 1 AS n"],
        *([] if lake in UNINDEXED else [["verify"]]),
    ]
    for command in commands:
        found = hinted(editflow(*command, f"--lake={lake}"))
        assert found
        for hint in found:
            answer = editflow(*hint[1:])
            assert hint[0] == "editflow"
            assert answer.code == 0, answer.err
            assert (lake == "lake") == ("--lake" not in hint) or "--help" in hint


def test_without_quotes_the_hint_would_fail(lake: str) -> None:
    """The control."""
    try:
        bare = words(f"editflow runs --lake {lake}")
    except subprocess.CalledProcessError:  # an open quote
        bare = ["editflow", "nonsense"]
    assert (editflow(*bare[1:]).code == 0) == (lake == "lake")


def test_a_lake_of_the_environment_is_named(reference, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have been set for one command only."""
    monkeypatch.setenv("EDITFLOW_LAKE", str(reference.lake))
    (hint,) = hinted(editflow("runs"))
    monkeypatch.delenv("EDITFLOW_LAKE")
    assert editflow(*hint[1:]).code == 0


def test_another_lake_of_the_environment_is_not_used(
    reference, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(reference.lake, tmp_path / "lake")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDITFLOW_LAKE", str(tmp_path / "nowhere"))
    (hint,) = hinted(editflow("runs", "--lake", "lake"))
    assert editflow(*hint[1:]).code == 0
    assert editflow(*hint[1:-2]).code == 2, "the control"


def test_run_report_and_ask(world: World, copied: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    ask, report, show = hinted(editflow("run", world.spec, "--lake", copied))
    assert editflow(*show[1:]).code == 0
    (lineage,) = hinted(editflow(*report[1:]))
    assert editflow(*lineage[1:]).code == 0
    assert (tmp_path / "tiny-report.html").is_file()
    answer = editflow(*ask[1:])
    assert hinted(answer) == [show]
    store = Lake.open(copied)
    state = next(iter(Runs(store.files).all())).state
    edited_prompts = {row["prompt"].replace("{}", row["subject"]) for m in tiny_world.artifacts(copied, "requests")
             for row in store.read(m.id).to_pylist()}  # fmt: skip
    assert ask[3] == question(store, str(state))
    assert ask[3] in edited_prompts, "the run has edited this fact"


def test_a_general_question_without_an_edited_fact(copied: Path, reference) -> None:
    store = Lake.open(copied)
    for manifest in tiny_world.artifacts(copied, "requests"):
        tiny_world.payload(copied, manifest).unlink()
    assert question(store, reference.record["state"]) == QUESTION
    assert question(store, "0" * 64) == QUESTION


def test_a_failed_run(world: World, server: str, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    assert editflow("run", world.spec, "--lake", lake, "--set", "edit.z_layer=7").code == 2
    ((*command, last),) = hinted(editflow("show", "last", "--lake", lake))
    assert (command, last) == (["editflow", "run", str(world.spec), "--lake"], str(lake))


def test_an_empty_lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Lake.open("lake")
    assert hinted(editflow("runs")) == [["editflow", "run", "--help"]]
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "demo.toml").write_text("")
    Lake.open("other")
    assert hinted(editflow("runs", "--lake", "other")) == [
        ["editflow", "run", "specs/demo.toml", "--lake", "other"],
    ]


@pytest.mark.real_model
def test_fetch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert hinted(editflow("fetch")) == [["editflow", "run", "--help"]]
    assert editflow("fetch", "--json").err == ""


@pytest.mark.parametrize(
    "command",
    [["runs"], ["show", "last"], ["lineage", "tiny"], ["query", "SELECT 1"], ["doctor"], ["verify"]],
    ids=lambda c: c[0],
)
def test_json_has_no_hint(reference, command: list[str]) -> None:
    answer = editflow(*command, "--json", "--lake", reference.lake)
    assert answer.err == ""
    assert answer.json


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=8))
def test_any_text_is_one_word_of_a_shell(text: str) -> None:
    command = shell_command("show", text).strip("`") if "`" not in text else shell_command("show", text)[1:-1]
    assert words(command) == ["editflow", "show", text]
