"""Ctrl-C, SIGTERM and SIGHUP: one line, exit code 128 + the signal's number, and the same command resumes."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from support import tiny_world
from support.tiny_world import Answer, World, editflow

from editflow.flows.console import signals
from editflow.flows.pipeline.tracked_run import run_tracked
from editflow.flows.spec.loading import load_spec
from editflow.storage.artifacts.store import Lake
from editflow.storage.records.runs import Runs

ROOT = Path(__file__).parents[3]
PROGRAM = [sys.executable, "-c", "from editflow.flows.cli.main import main; main()"]


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Restore the signals' actions: background jobs ignore SIGINT, nohup ignores SIGHUP, and children inherit this."""
    default = dict.fromkeys(signals.SIGNALS, signal.SIG_DFL) | {signal.SIGINT: signal.default_int_handler}
    before = {number: signal.signal(number, action) for number, action in default.items()}
    yield
    for number, action in before.items():
        signal.signal(number, action)


@pytest.mark.exhaustive
@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "term"])
def test_an_interrupted_run(
    world: World, environment: dict[str, str], reference, tmp_path: Path, number: signal.Signals
) -> None:
    lake = tmp_path / "lake"
    program = str(Path(sys.executable).parent / "editflow")
    command = [program, "run", str(world.spec), "--lake", str(lake), "--json"]
    env = {**environment, "PYTHONPATH": str(Path(__file__).parents[3])}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, text=True, env=env) as process:
        assert process.stderr is not None
        lines = []
        for line in process.stderr:
            lines.append(line)
            if "created  tokens 1" in line:
                process.send_signal(number)
        process.wait(timeout=60)
    assert process.returncode == 128 + number, lines
    # On a busy machine Prefect may also print that it still sends events.
    assert [line for line in lines if line.startswith("interrupted: ")], lines
    assert "Traceback" not in "".join(lines)
    (row,) = editflow("runs", "--json", "--lake", lake).json
    assert row["status"] == "interrupted"
    assert row["message"] == f"interrupted by {'the user' if number == signal.SIGINT else number.name}"
    tiny_world.run(world.spec, lake)
    assert tiny_world.digests(lake) == tiny_world.digests(reference.lake)


def test_an_interrupted_query(reference, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("editflow.storage.records.runs.Runs.newest", interrupted)
    answer = editflow("runs", "--lake", reference.lake)
    assert (answer.code, answer.err.count("\n")) == (130, 1)
    assert answer.err.startswith("interrupted: ")


@pytest.mark.exhaustive
@pytest.mark.usefixtures("interruptible")
def test_a_hangup_while_the_server_starts(world: World, environment: dict[str, str], tmp_path: Path) -> None:
    """The terminal and standard error are closed; no process of the run is left."""
    lake = tmp_path / "lake"
    alone = {name: value for name, value in environment.items() if not name.startswith("PREFECT_")}
    env = {**alone, "PYTHONPATH": str(ROOT), "EDITFLOW_CACHE": str(tmp_path / "cache")}
    with subprocess.Popen([*PROGRAM, "run", str(world.spec), "--lake", str(lake)], stderr=subprocess.PIPE, text=True,
                          stdout=subprocess.DEVNULL, env=env, start_new_session=True) as process:  # fmt: skip
        assert process.stderr is not None
        server_started = any("temporary server" in line for line in process.stderr)
        process.stderr.close()
        while process.poll() is None and not (begun := psutil.Process(process.pid).children(recursive=True)):
            time.sleep(0.005)
        process.send_signal(signal.SIGHUP)
        assert process.wait(timeout=120) == 128 + signal.SIGHUP
    assert server_started
    assert begun
    assert not psutil.wait_procs(begun, timeout=60)[1], "a server is still running"
    assert editflow("runs", "--json", "--lake", lake).json == []


@contextmanager
def around(**signals: Any) -> Iterator[None]:
    """Set handlers as a parent process may have."""
    before = {name: signal.signal(getattr(signal, name), how) for name, how in signals.items()}
    try:
        yield
    finally:
        for name, how in before.items():
            signal.signal(getattr(signal, name), how)


def answered(monkeypatch: pytest.MonkeyPatch, lake: Path, work: Callable[[], None]) -> Answer:
    """`editflow runs` with another function as its work."""
    monkeypatch.setattr("editflow.storage.records.runs.Runs.newest", lambda _: work())
    return editflow("runs", "--lake", lake)


@pytest.mark.parametrize("number", signals.SIGNALS)
def test_each_signal_ends_a_command_cleanly(reference, monkeypatch: pytest.MonkeyPatch, number: signal.Signals) -> None:
    cleaned = []

    def work() -> None:
        try:
            signal.raise_signal(number)
        finally:
            cleaned.append(number)

    usual = {"SIGINT": signal.default_int_handler, "SIGTERM": signal.SIG_DFL, "SIGHUP": signal.SIG_DFL}
    with around(**usual):
        answer = answered(monkeypatch, reference.lake, work)
        assert {name: signal.getsignal(getattr(signal, name)) for name in usual} == usual, "the handlers are restored"
    assert (answer.code, answer.err.count("\n"), cleaned) == (128 + number, 1, [number])
    assert answer.err.startswith("interrupted: ")


def test_an_error_of_a_library_after_a_signal_counts_as_an_interrupt(
    reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt:
            raise RuntimeError("Query interrupted") from None

    with around(SIGTERM=signal.SIG_DFL):
        answer = answered(monkeypatch, reference.lake, work)
    assert (answer.code, answer.err.count("\n")) == (128 + signal.SIGTERM, 1)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, "interrupted"), (None, "failed")])
def test_a_run_that_a_signal_ends_with_an_error_of_a_library(
    world: World, tmp_path: Path, number: signal.Signals | None, status: str
) -> None:
    def work(_spec: object, _pipe: object) -> dict[str, object]:
        with suppress(KeyboardInterrupt):
            if number is not None:
                signal.raise_signal(number)
        raise RuntimeError("the operation was cancelled")

    lake = Lake.open(tmp_path / "lake")
    with around(SIGTERM=signal.SIG_DFL), signals.stopping(last=False), pytest.raises(RuntimeError):
        run_tracked(load_spec(world.spec), lake, None, lambda _use, _ref: None, work, tiny_world.DirectPipeline)
    (record,) = Runs(lake.files).all()
    assert record.status == status


def test_a_signal_is_repeated_if_its_exception_was_lost(reference, monkeypatch: pytest.MonkeyPatch) -> None:
    class Last:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGTERM)

    def work() -> None:
        one = Last()
        del one
        threading.Event().wait()

    with around(SIGTERM=signal.SIG_DFL):
        answer = answered(monkeypatch, reference.lake, work)
    assert (answer.code, answer.err.count("\n")) == (128 + signal.SIGTERM, 1)


def test_ignored_signals_stay_ignored(reference, monkeypatch: pytest.MonkeyPatch) -> None:
    """As under nohup, or with a custom handler."""
    received: list[int] = []

    def work() -> None:
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGTERM)
        raise KeyboardInterrupt

    with around(SIGHUP=signal.SIG_IGN, SIGTERM=lambda number, _: received.append(number)):
        assert answered(monkeypatch, reference.lake, work).code == 130
    assert received == [signal.SIGTERM]


def test_the_second_signal_ends_the_process_at_once(reference, monkeypatch: pytest.MonkeyPatch) -> None:
    ends: list[int] = []

    def work() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(signals, "end_servers", lambda **_: None)
    monkeypatch.setattr("os._exit", ends.append)
    with around(SIGTERM=signal.SIG_DFL, SIGINT=signal.default_int_handler):
        answered(monkeypatch, reference.lake, work)
    assert ends == [130]


def test_another_thread_sets_no_handlers(reference) -> None:
    found: list[Answer] = []
    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=lambda: found.append(editflow("runs", "--json", "--lake", reference.lake)))
    thread.start()
    thread.join()
    assert found[0].code == 0
    assert signal.getsignal(signal.SIGTERM) is before
