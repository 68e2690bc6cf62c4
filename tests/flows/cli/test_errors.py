"""Every error of a command is one line that names its place; bugs are raised in tests."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from support import tiny_world
from support.error_checks import refused
from support.tiny_world import Answer, World, editflow

from editflow.flows.cli import main
from editflow.flows.cli.common.error_border import INTERNAL_ERROR
from editflow.flows.cli.doctor.finding import Place
from editflow.flows.cli.doctor.installation import torch_build
from editflow.flows.console.errors import UsageError
from editflow.flows.console.next_steps import shell_command
from editflow.flows.orchestration import prefect_environment, temporary_server
from editflow.storage.errors import StorageError
from editflow.tasks.sources import packaged_data


@pytest.fixture(scope="module")
def lake(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("border") / "lake"
    tiny_world.record_directly(world.spec, folder)
    return folder


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fail(_: object) -> None:
        raise error

    monkeypatch.setattr("editflow.storage.records.runs.Runs.newest", fail)


def run_in_shell(monkeypatch: pytest.MonkeyPatch, *words: object) -> Answer:
    """Run a command as a shell does, without arguments to `main`."""
    monkeypatch.setattr(main, "stopping", lambda **_: NoSignals())
    monkeypatch.setattr(main, "end_servers", lambda: None)
    monkeypatch.setattr(sys, "argv", ["editflow", *map(str, words)])
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
        main.main()
    return Answer(int(ended.value.code or 0), out.getvalue(), err.getvalue())


class NoSignals:
    """Replaces the context of signal handlers."""

    def __enter__(self) -> tuple[int, ...]:
        return ()

    def __exit__(self, *_: object) -> None:
        pass


class UnknownError(Exception):
    """An error that no handler knows."""


@pytest.mark.parametrize(
    "error", [UnknownError("a\nb"), KeyError("x"), RuntimeError(""), StopIteration(), RecursionError()]
)
def test_a_bug_is_one_line_for_users_and_raised_in_tests(
    lake: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    failing(monkeypatch, error)
    with pytest.raises(type(error)):
        editflow("runs", "--lake", lake)
    answer = run_in_shell(monkeypatch, "runs", "--lake", lake)
    assert (answer.code, answer.err.count("\n")) == (INTERNAL_ERROR, 1)
    for part in ("error: unexpected", type(error).__name__, Path(__file__).name, "--debug"):
        assert part in answer.err


@pytest.mark.parametrize("how", ["flag", "variable"])
def test_debug_also_shows_the_traceback(lake: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    failing(monkeypatch, StorageError("made up"))
    refused(editflow("runs", "--lake", lake), "made up")
    if how == "variable":
        monkeypatch.setenv("EDITFLOW_DEBUG", "1")
    answer = editflow("runs", "--lake", lake, *(["--debug"] if how == "flag" else []))
    assert answer.code == 2
    assert "Traceback" in answer.err
    assert answer.err.splitlines()[-1] == "error: made up"
    monkeypatch.setenv("EDITFLOW_DEBUG", "0")
    refused(editflow("runs", "--lake", lake), "made up")  # --debug of an earlier call has no effect


def test_debug_after_two_dashes_is_an_argument(lake: Path) -> None:
    refused(editflow("show", "--lake", lake, "--", "--debug"), "'--debug'")


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ENOTDIR, errno.EBADF, errno.EIO, errno.ELOOP, errno.ESTALE])
def test_an_operating_system_error_is_one_line_with_its_path(
    lake: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    failing(monkeypatch, OSError(number, os.strerror(number), "/some/place"))
    refused(editflow("runs", "--lake", lake), "/some/place", os.strerror(number))
    failing(monkeypatch, OSError("no number"))
    refused(editflow("runs", "--lake", lake), "no number")


@pytest.mark.parametrize("word", ["a\0b", os.fsdecode(b"\xff"), "\ud800"])
def test_an_argument_that_is_not_text_is_refused(lake: Path, word: str) -> None:
    for words in (["runs", "--lake", word], ["show", word, "--lake", lake], ["query", word, "--lake", lake], [word]):
        refused(editflow(*words), "not text")


class FailingStream(io.RawIOBase):
    """A stream that fails on every write."""

    def __init__(self, number: int) -> None:
        self.number: int | None = number

    def writable(self) -> bool:
        return True

    def write(self, some: Any) -> int:
        if self.number is None:
            return len(some)
        raise OSError(self.number, os.strerror(self.number))


@pytest.fixture
def failing_stream() -> Iterator[Any]:
    """`failing_stream(errno)`: a text stream whose writes fail, until the end of the test."""
    opened: list[FailingStream] = []

    def stream(number: int) -> io.TextIOWrapper:
        opened.append(FailingStream(number))
        return io.TextIOWrapper(io.BufferedWriter(opened[-1]), encoding="utf-8")

    yield stream
    for one in opened:
        one.number = None


WORDS = (["runs"], ["runs", "--json"], ["query", "SELECT 1"], ["--help"], ["--version"], ["completion", "bash"])


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_a_failed_write_to_standard_output_is_one_line(lake: Path, failing_stream, words: list[str]) -> None:
    place = [] if words[0] in {"--help", "--version", "completion"} else ["--lake", str(lake)]
    for number, code, fragment in ((errno.ENOSPC, 2, "No space"), (errno.EBADF, 2, "closed"), (errno.EPIPE, 1, "")):
        err = io.StringIO()
        with redirect_stdout(failing_stream(number)), redirect_stderr(err), pytest.raises(SystemExit) as ended:
            main.main([*words, *place])
        errors = [line for line in err.getvalue().splitlines() if line.startswith("error: ")]
        assert ended.value.code == code
        assert len(errors) == (code == 2)
        assert all("standard output" in line and fragment in line for line in errors)


def test_a_failed_write_to_standard_error_is_ignored(lake: Path, failing_stream) -> None:
    out = io.StringIO()
    with redirect_stdout(out), redirect_stderr(failing_stream(errno.EIO)), pytest.raises(SystemExit) as ended:
        main.main(["runs", "--lake", str(lake)])
    assert not ended.value.code
    assert "completed" in out.getvalue()


CLOSED = """
import os, sys
for number in map(int, sys.argv[1].split(",")):
    os.close(number)
os.execv(sys.executable, [sys.executable, "-c", "from editflow.flows.cli.main import main; main()", *sys.argv[2:]])
"""


def test_closed_streams_are_not_reused(lake: Path) -> None:
    """No file gets the descriptor of a closed stream; closed output is reported on standard error."""
    root = Path(__file__).parents[3]
    command = [sys.executable, "-c", CLOSED]
    done = subprocess.run(
        [*command, "0,1", "runs", "--lake", lake], capture_output=True, text=True, cwd=root, check=False, timeout=300
    )
    assert (done.returncode, done.stderr.count("error: ")) == (2, 1)
    assert "closed" in done.stderr
    done = subprocess.run(
        [*command, "0,2", "runs", "--lake", lake], capture_output=True, text=True, cwd=root, check=False, timeout=300
    )
    assert (done.returncode, "completed" in done.stdout) == (0, True)


@pytest.mark.parametrize("name", ["COLUMNS", "LINES"])
@pytest.mark.parametrize("value", ["", "abc", "0", "1", "-5", "²", "99999999999999999999"])
def test_an_invalid_terminal_size_is_ignored(
    lake: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    answer = editflow("runs", "--lake", lake)
    assert (answer.code, "next:" in answer.err) == (0, True)


def test_a_deleted_working_folder_is_reported_if_it_is_needed(
    lake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    for words in (["runs"], ["show", "last"], ["query", "SELECT 1"]):
        answer = editflow(*words, "--lake", lake)
        assert (answer.code, "next:" in answer.err) == (0, True), answer
    refused(editflow("runs"), "working folder")  # it would contain ./lake
    refused(editflow("runs", "--lake", "sub/lake"), "working folder")
    tune = ("tune", "/model", "--requests", "/facts.jsonl", "--budget", "1")
    for words in (*((name, "/tiny.toml") for name in ("plan", "run", "prepare", "apply", "evaluate", "compare")), tune):
        refused(editflow(*words), "working folder")  # reading a spec imports torch
    for words in (["ask", "last", "Who?"], ["rerun", "last"], ["scores", "last"], ["diff", "last", "last"]):
        refused(editflow(*words, "--lake", lake), "working folder")  # torch would end the process
    with pytest.raises(UsageError, match="working folder"):
        temporary_server.prepare()
    assert [found.verdict for found in torch_build(Place(str(lake)))] == ["problem"]
    refused(editflow("lineage", "tiny", "--html", "x.html", "--lake", lake))
    assert shell_command("runs", lake="other") == "`editflow runs --lake other`"


WRONG = {
    "PREFECT_LOGGING_LEVEL": "bogus",
    "PREFECT_SERVER_API_PORT": "abc",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "soon",
    "PREFECT_API_ENABLE_HTTP2": "maybe",
}


@pytest.mark.parametrize(("name", "value"), WRONG.items(), ids=WRONG)
def test_an_invalid_prefect_variable_is_named(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    for words in (["plan", world.spec], ["run", world.spec], ["up", "--home", tmp_path]):
        place = [] if words[0] == "up" else ["--lake", tmp_path / "lake"]
        refused(editflow(*words, *place), name)
    assert not (tmp_path / "lake" / "runs").exists()


def test_an_unusable_cache_folder_is_named(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    for place in (tmp_path / "file", "/proc/x", "/dev/null/x", "~nobody-of-this-name/x", tmp_path / "circle"):
        monkeypatch.setenv("EDITFLOW_CACHE", str(place))
        for words in (["plan", world.spec], ["run", world.spec]):
            refused(editflow(*words, "--lake", tmp_path / "lake"), str(place), "EDITFLOW_CACHE")
        refused(editflow("fetch"), str(place), "EDITFLOW_CACHE")
        with pytest.raises((UsageError, packaged_data.FetchFailed)):
            temporary_server.prepare()
    monkeypatch.delenv("EDITFLOW_CACHE")
    monkeypatch.setenv("HOME", "/dev/null")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    refused(editflow("plan", world.spec, "--lake", tmp_path / "lake"), "/dev/null", "EDITFLOW_CACHE")


def test_a_cache_without_a_home_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user without a home folder and without an entry in the user database."""
    monkeypatch.setattr(packaged_data, "user_cache_path", lambda *_, **__: Path("~/.cache/editflow"))
    monkeypatch.setattr(packaged_data.os, "environ", {})
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)
    with pytest.raises(packaged_data.FetchFailed, match="home"):
        packaged_data.cache()


def test_a_read_only_cache_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_, **__: False)
    with pytest.raises(UsageError, match="not writable"):
        prefect_environment.made_folder(tmp_path, "EDITFLOW_CACHE")
