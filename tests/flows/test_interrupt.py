"""Ctrl-C during a run: one line that says so, exit code 130, and the same command goes on."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import tiny_world
from tiny_world import World, editflow


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Tests that were started in the background ignore SIGINT, and so would their children."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupted_run(world: World, environment: dict[str, str], reference, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    program = str(Path(sys.executable).parent / "editflow")
    command = [program, "run", str(world.spec), "--lake", str(lake), "--json"]
    env = {**environment, "PYTHONPATH": str(Path(__file__).parents[2])}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, text=True, env=env) as process:
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if "created  tokens 1" in line:
                process.send_signal(signal.SIGINT)
        process.wait(timeout=60)
    assert process.returncode == 130, said
    # On a busy machine Prefect may add that it still sends events.
    assert [line for line in said if line.startswith("interrupted: ")], said
    assert "Traceback" not in "".join(said)
    (row,) = editflow("runs", "--json", "--lake", lake).json
    assert row["status"] == "interrupted"
    tiny_world.run(world.spec, lake)
    assert tiny_world.digests(lake) == tiny_world.digests(reference.lake)


def test_an_interrupted_question(reference, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("storage.runs.Runs.newest", interrupted)
    answer = editflow("runs", "--lake", reference.lake)
    assert (answer.code, answer.err.count("\n")) == (130, 1)
    assert answer.err.startswith("interrupted: ")
