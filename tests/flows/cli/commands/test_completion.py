"""`editflow completion`: shells accept the scripts, and bash completes with them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support import hostile_lake
from support.error_checks import refused
from support.terminals import on_terminal, several
from support.tiny_world import editflow

from editflow.storage.artifacts.store import Lake
from editflow.storage.records.runs import Runs

pytestmark = pytest.mark.exhaustive

COMMANDS = [
    "fetch", "plan", "prepare", "run", "tune", "runs", "show", "lineage", "query", "scores", "compare", "diff", "rerun",
    "export-run", "ask", "report", "requests", "apply", "submit", "queue", "releases", "rollback", "evaluate", "gc",
    "impact", "up", "down", "doctor", "verify", "completion",
]  # fmt: skip
ASK_BASH = """
set -u
source "$1"
shift
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
COMPREPLY=()
_editflow
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def bash(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the script for bash."""
    path = tmp_path_factory.mktemp("completion") / "editflow.bash"
    path.write_text(editflow("completion", "bash").out)
    return path


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A lake with two runs of one spec."""
    store = Lake.open(tmp_path / "my lake")
    runs = Runs(store.files)
    for run_id in ("run-1", "run-2"):
        runs.finish(runs.start("tiny", {}, run_id=run_id), "completed")
    return store


def offered(bash: Path, *words: object, folder: Path | None = None) -> list[str]:
    """The completions of the last word in bash."""
    command = ["bash", "-c", ASK_BASH, "bash", str(bash), "editflow", *map(str, words)]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    env = {**os.environ, "PATH": path, "PYTHONPATH": str(Path(__file__).parents[4])}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=env, cwd=folder, timeout=60)
    assert done.stderr == ""
    return done.stdout.split("\n")[:-1] if done.stdout.strip() else []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_names_every_command(shell: str) -> None:
    answer = editflow("completion", shell)
    assert (answer.code, answer.err) == (0, "")
    for word in [*COMMANDS, "lake", "json", "deep", "tokens"]:
        assert word in answer.out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_accepts_its_script(shell: str, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    script = tmp_path / "script"
    script.write_text(editflow("completion", shell).out)
    subprocess.run([shell, "-n", str(script)], check=True)


def test_bash_refuses_the_script_of_another_shell(tmp_path: Path) -> None:
    """Control of the test above."""
    script = tmp_path / "script"
    script.write_text(editflow("completion", "fish").out)
    assert subprocess.run(["bash", "-n", str(script)], capture_output=True, check=False).returncode


def test_commands_and_options_are_completed(bash: Path) -> None:
    assert offered(bash, "") == COMMANDS
    assert offered(bash, "ru") == ["run", "runs"]
    assert {"--deep", "--lake", "--json"} <= set(offered(bash, "doctor", "--"))
    assert offered(bash, "requests", "") == ["check"]
    assert offered(bash, "completion", "") == ["bash", "zsh", "fish"]
    assert offered(bash, "nonsense", "--nonsense") == []


@pytest.mark.parametrize("command", ["show", "ask", "report"])
def test_runs_of_the_given_lake_are_completed(bash: Path, lake: Lake, command: str) -> None:
    assert offered(bash, command, "--lake", lake.uri, "") == ["last", "run-2", "run-1", "tiny"]
    assert offered(bash, command, "--lake", lake.uri, "run-1") == ["run-1"]
    assert offered(bash, command, "--lake", f"{lake.uri}/none", "") == [], "control"


def test_folders_are_completed_after_lake(bash: Path, lake: Lake) -> None:
    folder = Path(lake.uri).parent
    (folder / "file").write_text("")
    assert offered(bash, "runs", "--lake", "", folder=folder) == ["my\\ lake"]
    assert offered(bash, "runs", "--lake", f"{lake.uri}/ru") == [f"{lake.uri}/runs".replace(" ", "\\ ")]


def test_hostile_names_are_not_completed(bash: Path, tmp_path: Path) -> None:
    store = hostile_lake.lake(tmp_path / "lake")
    hostile_lake.damaged(store)
    found = offered(bash, "show", "--lake", store.uri, "")
    assert found[0] == "last"
    assert len(found) == 3, "the ids of the two valid runs, but no hostile name"


def test_the_current_shell_is_the_default() -> None:
    program = Path(sys.executable).parent / "editflow"
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[4]), "SHELL": "/bin/sh"}
    command = ["bash", "-c", f"'{program}' completion; true"]  # with only one command, bash would replace itself by it
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=env, timeout=60)
    assert done.stdout == editflow("completion", "bash").out


def test_an_unknown_shell_is_refused() -> None:
    refused(editflow("completion", "tcsh"), "tcsh", "fish")


def test_on_a_terminal_the_file_to_write_is_named() -> None:
    *_, last = on_terminal(several([["completion", "bash"]])).strip().splitlines()
    assert "~/.local/share/bash-completion/completions/editflow" in last
