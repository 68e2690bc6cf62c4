"""Colours and progress lines of every command: on a terminal, in a pipe, and as environment variables say."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from support import hostile_lake
from support.terminals import STYLE, in_pipe, on_terminal, script, several, surroundings
from support.tiny_world import World

from editflow.storage.artifacts.store import Lake

pytestmark = pytest.mark.exhaustive

FAIL = (
    "from editflow.flows.cli.main import main\n"
    "try:\n    main(['runs', '--lake', '/nonexistent'])\nexcept SystemExit:\n    pass\n"
)
DRAWING = re.compile(r"\r|\x1b\[(\?25[lh]|[0-9]*[ABCDKJ])")
"""Sequences that hide or move the cursor or erase lines."""


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return hostile_lake.lake(tmp_path_factory.mktemp("colours") / "lake")


def commands(lake: Lake) -> list[list[str]]:
    documents = next(m.id for m in lake.manifests() if m.kind == "documents")
    words = [["runs"], ["show", "last"], ["lineage", documents], ["query", "SELECT 1 AS n"], ["doctor"]]
    plain = [["--help"], ["run", "--help"], ["--version"], ["completion", "bash"]]
    return [*([*command, "--lake", lake.uri] for command in words), *plain]


@pytest.mark.parametrize("plain", [{"NO_COLOR": "1"}, {"NO_COLOR": "1", "FORCE_COLOR": "1"}, {"TERM": "dumb"}])
def test_plain_terminals_get_no_control_sequences(lake: Lake, plain: dict[str, str]) -> None:
    output = on_terminal([*several(commands(lake))], **plain) + on_terminal(script(FAIL), **plain)
    assert "\x1b" not in output
    assert "\r" not in output
    assert "error: no lake at" in output


def test_pipes_get_no_control_sequences(lake: Lake) -> None:
    for out, err in (in_pipe(several(commands(lake))), in_pipe(script(FAIL))):
        assert "\x1b" not in out + err
        assert "\r" not in out + err


def test_forced_colours_in_a_pipe_redraw_nothing(lake: Lake) -> None:
    """Both streams have colours, but no line is redrawn."""
    out, err = in_pipe(several(commands(lake)), FORCE_COLOR="1")
    assert "\x1b[32mok" in out
    assert "\x1b[2mnext:" in err
    assert "\x1b[1;31merror:" in in_pipe(script(FAIL), FORCE_COLOR="1")[1]
    assert not DRAWING.search(out + err)
    assert "\x1b" not in STYLE.sub("", out + err)


def test_a_terminal_has_colours_and_progress_lines(lake: Lake) -> None:
    """Control of the tests above."""
    output = on_terminal(several(commands(lake)))
    assert STYLE.search(output)
    assert DRAWING.search(output)


def test_a_run_on_a_terminal_shows_progress(world: World, environment: dict[str, str], tmp_path: Path) -> None:
    command = several([["run", world.spec, "--lake", tmp_path / "lake"]])
    output = on_terminal(command, **server_variables(environment))
    for part in ("target values 3 ", "2/2 facts", "second moment 2 of 2", "evaluation before", " left", "next: "):
        assert part in STYLE.sub("", output)
    assert DRAWING.search(output)
    shown = [line for line in re.split(r"[\r\n]|\x1b\[2K", STYLE.sub("", output)) if "created  target values 3" in line]
    assert len(shown) == 1, "a line that stays is printed once, as in a pipe"


def test_a_run_on_a_plain_terminal_prints_only_lines(world: World, environment: dict[str, str], tmp_path: Path) -> None:
    command = several([["run", world.spec, "--lake", tmp_path / "lake"]])
    output = on_terminal(command, **server_variables(environment), NO_COLOR="1")
    assert "\x1b" not in output
    assert "facts/s" not in output
    assert "created  target values 3" in output


def server_variables(environment: dict[str, str]) -> dict[str, str]:
    """The variables with which a run in another process uses the tests' server."""
    return {name: value for name, value in environment.items() if name.startswith(("PREFECT_", "HF_"))}


def test_head_ends_the_output_without_an_error(lake: Lake) -> None:
    """For tables and for JSON."""
    for more in ([], ["--json"]):
        query = ["query", "SELECT range AS n FROM range(60000)", "--rows", "60000", *more]
        command = several([[*query, "--lake", lake.uri]])
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with subprocess.Popen(command, **pipes, text=True, env=surroundings({})) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            assert process.stdout.readline()
            process.stdout.close()
            assert process.stderr.read() == ""
            assert process.wait(timeout=60) == 0
