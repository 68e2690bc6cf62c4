"""Colours and live lines of every command: on a terminal, in a pipe, and where the environment has a word to say."""

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
"""Hiding the cursor, moving it, erasing lines."""


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return hostile_lake.lake(tmp_path_factory.mktemp("colours") / "lake")


def commands(lake: Lake) -> list[list[str]]:
    documents = next(m.id for m in lake.manifests() if m.kind == "documents")
    words = [["runs"], ["show", "last"], ["lineage", documents], ["query", "SELECT 1 AS n"], ["doctor"]]
    plain = [["--help"], ["run", "--help"], ["--version"], ["completion", "bash"]]
    return [*([*command, "--lake", lake.uri] for command in words), *plain]


@pytest.mark.parametrize("plain", [{"NO_COLOR": "1"}, {"NO_COLOR": "1", "FORCE_COLOR": "1"}, {"TERM": "dumb"}])
def test_plain_terminals(lake: Lake, plain: dict[str, str]) -> None:
    said = on_terminal([*several(commands(lake))], **plain) + on_terminal(script(FAIL), **plain)
    assert "\x1b" not in said
    assert "\r" not in said
    assert "error: no lake at" in said


def test_pipes(lake: Lake) -> None:
    for out, err in (in_pipe(several(commands(lake))), in_pipe(script(FAIL))):
        assert "\x1b" not in out + err
        assert "\r" not in out + err


def test_forced_colours_in_a_pipe(lake: Lake) -> None:
    """Colours as asked for, on both streams, but nothing that is redrawn."""
    out, err = in_pipe(several(commands(lake)), FORCE_COLOR="1")
    assert "\x1b[32mok" in out
    assert "\x1b[2mnext:" in err
    assert "\x1b[1;31merror:" in in_pipe(script(FAIL), FORCE_COLOR="1")[1]
    assert not DRAWING.search(out + err)
    assert "\x1b" not in STYLE.sub("", out + err)


def test_a_terminal_has_colours_and_live_lines(lake: Lake) -> None:
    """The control."""
    said = on_terminal(several(commands(lake)))
    assert STYLE.search(said)
    assert DRAWING.search(said)


def test_a_run_on_a_terminal(world: World, environment: dict[str, str], tmp_path: Path) -> None:
    command = several([["run", world.spec, "--lake", tmp_path / "lake"]])
    said = on_terminal(command, **here(environment))
    for part in ("target values 3 ", "2/2 facts", "second moment 2 of 2", "evaluation before", " left", "next: "):
        assert part in STYLE.sub("", said)
    assert DRAWING.search(said)
    shown = [line for line in re.split(r"[\r\n]|\x1b\[2K", STYLE.sub("", said)) if "created  target values 3" in line]
    assert len(shown) == 1, "the lines that stay are those of a pipe"


def test_a_run_on_a_plain_terminal(world: World, environment: dict[str, str], tmp_path: Path) -> None:
    command = several([["run", world.spec, "--lake", tmp_path / "lake"]])
    said = on_terminal(command, **here(environment), NO_COLOR="1")
    assert "\x1b" not in said
    assert "facts/s" not in said
    assert "created  target values 3" in said


def here(environment: dict[str, str]) -> dict[str, str]:
    """What a run in another process needs of the tests' server."""
    return {name: value for name, value in environment.items() if name.startswith(("PREFECT_", "HF_"))}


def test_a_reader_that_has_seen_enough(lake: Lake) -> None:
    """`| head` ends the output without a traceback, for tables and for JSON."""
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
