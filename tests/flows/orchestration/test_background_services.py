"""`editflow down` ends the processes that `up` started and their children, and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from support.server_homes import stand_in

from editflow.flows.orchestration.background_services import Services

STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
print(child.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def stubborn() -> Iterator[tuple[psutil.Process, psutil.Process]]:
    """A process that ignores signals, and its child; both are killed at the end of the test."""
    command = [sys.executable, "-c", STUBBORN, "prefect", "worker", "start"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        both = psutil.Process(process.pid), psutil.Process(int(process.stdout.readline()))
        yield both
        for one in both:
            if one.is_running():
                one.kill()


def known(home: Path, process: psutil.Process, earlier: float = 0) -> Services:
    """Record a process as if `up` had started it, or an earlier process with the same id."""
    about = {"pid": process.pid, "started": process.create_time() - earlier, "port": 4200}
    (home / "worker.json").write_text(json.dumps(about))
    return Services(home)


def test_a_process_that_ignores_signals_is_killed_with_its_children(stubborn, tmp_path: Path) -> None:
    process, child = stubborn
    services = known(tmp_path, process)
    assert services.running("worker") == process
    assert services.stop("worker", patience=0.5)
    psutil.wait_procs([child], timeout=10)
    assert not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in stubborn)
    assert services.running("worker") is None
    assert not services.stop("worker")


def _number(**other: object) -> str:
    process = stand_in("prefect", "worker", "start")
    return json.dumps({"pid": process.pid, "started": process.create_time(), "port": 4200} | other)


SAYS_NOTHING: dict[str, Callable[[], str]] = {
    "empty": lambda: "",
    "begun": lambda: "{",
    "a list": lambda: "[]",
    "no number": lambda: '{"pid": "x"}',
    "one number": lambda: '{"pid": 1}',
    "deep": lambda: "[" * 200_000,
    "large": lambda: " " * 2**21 + _number(),
    "a negative process": lambda: _number(pid=-1),
    "an endless number": lambda: _number(pid=float("inf")),
    "a number of many digits": lambda: _number(pid=10**400),
    "a process beyond all": lambda: _number(pid=2**70),
    "no time": lambda: _number(started=float("nan")),
    "no port": lambda: _number(port=-1),
}


@pytest.mark.parametrize("made", SAYS_NOTHING.values(), ids=SAYS_NOTHING)
def test_an_empty_process_file_means_no_process(tmp_path: Path, made: Callable[[], str]) -> None:
    (tmp_path / "worker.json").write_text(made())
    assert Services(tmp_path).running("worker") is None
    assert not Services(tmp_path).stop("worker")
    (tmp_path / "worker.json").write_text(_number())
    assert Services(tmp_path).running("worker") is not None, "the control"


def test_a_process_file_that_is_not_regular_means_no_process(tmp_path: Path) -> None:
    (tmp_path / "folder.json").mkdir()
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "device.json").symlink_to("/dev/zero")
    (tmp_path / "loop.json").symlink_to("loop.json")
    for name in ("folder", "pipe", "device", "loop"):
        assert Services(tmp_path).running(name) is None
    (tmp_path / "server.json").symlink_to(tmp_path / "pipe.json")
    assert Services(tmp_path).port == 0


def test_another_process_with_the_same_id_is_left_alone(stubborn, tmp_path: Path) -> None:
    process, _ = stubborn
    services = known(tmp_path, process, earlier=3600)
    assert services.running("worker") is None
    assert not services.stop("worker", patience=0.5)
    assert process.is_running()
