"""Files that another user put into the home of `editflow up` are neither used nor written, not even by root."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import chain, repeat
from pathlib import Path

import psutil
import pytest
from support.doctor_findings import doctor
from support.error_checks import refused
from support.server_homes import home_of, stand_in
from support.tiny_world import Answer, editflow

from editflow.flows.console.errors import UsageError
from editflow.flows.orchestration import background_services, server_access
from editflow.flows.orchestration.background_services import Services

ROOT = Path(__file__).parents[3]
OTHER = 1234
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files of another user")
WORKER = ("prefect", "worker", "start")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home of this user, with a password."""
    made = server_access.private_home(tmp_path / "home")
    server_access.make_secret(made)
    return made


def up(home: Path) -> Answer:
    """The output of `editflow up`, which must end before it starts a process."""
    return editflow("up", "--home", home, "--file", ROOT / "prefect.yaml", "--port", "4299")


def remember(home: Path, process: psutil.Process | subprocess.Popen[bytes], name: str = "worker") -> Path:
    """Write the process file of a home, as if `up` had started the process."""
    found = {"pid": process.pid, "started": psutil.Process(process.pid).create_time(), "port": 4299}
    (home / f"{name}.json").write_text(json.dumps(found))
    return home / f"{name}.json"


@pytest.fixture
def sleeper() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start processes with given arguments, as a user; all end with the test."""
    begun: list[subprocess.Popen[bytes]] = []

    def begin(*words: str, user: int | None = None) -> subprocess.Popen[bytes]:
        # A shell, because another user may not have access to this Python. It ends with its child.
        command = ["/bin/sh", "-c", "trap 'kill $!; exit' TERM; sleep 600 & wait", *words]
        begun.append(subprocess.Popen(command, user=user, start_new_session=True, cwd="/"))
        return begun[-1]

    yield begin
    for one in begun:
        with suppress(ProcessLookupError):
            os.killpg(one.pid, 9)
        one.wait()


@as_root
def test_root_uses_no_other_users_password(home: Path) -> None:
    secret = server_access.read_secret(home)
    assert server_access.make_secret(home) == (secret, False), "the control"
    os.chown(home / server_access.PASSWORD, OTHER, OTHER)
    with pytest.raises(UsageError, match="password"):
        server_access.read_secret(home)
    new, fresh = server_access.make_secret(home)
    assert (fresh, new != secret, server_access.read_secret(home)) == (True, True, new)
    assert (home / server_access.PASSWORD).stat().st_uid == os.geteuid()


@as_root
def test_root_uses_no_other_users_home(home: Path) -> None:
    """Home and password belong to another user and have private modes, as if the password was planted."""
    secret = server_access.read_secret(home)
    for path in (home / server_access.PASSWORD, home):
        os.chown(path, OTHER, OTHER)
    for answer in (up(home), editflow("down", "--home", home)):
        refused(answer, str(home), "another user", "chown", "--home")
    os.chown(home, 0, 0)  # the remedy of the message; the password is still the other user's
    assert server_access.make_secret(server_access.private_home(home))[0] != secret


@as_root
@pytest.mark.parametrize("name", ["prefect.db", "profiles.toml", "server.log", "worker.json"])
def test_no_file_of_another_user_in_a_home_is_used(home: Path, name: str) -> None:
    (home / name).write_text("")
    server_access.private_home(home)  # the control
    os.chown(home / name, OTHER, OTHER)
    refused(up(home), str(home / name), "another user", "delete it")


@as_root
def test_root_may_use_another_users_cache(home: Path) -> None:
    os.chown(home, OTHER, OTHER)
    assert server_access.private(home, root_anywhere=True) == home
    with pytest.raises(UsageError, match="another user"):
        server_access.private(home)


@pytest.mark.parametrize("kind", ["link", "dangling", "folder", "pipe", "theirs"])
def test_a_log_must_be_a_file_of_this_user_and_no_link(home: Path, kind: str) -> None:
    log, elsewhere = home / "server.log", home.parent / "elsewhere"
    elsewhere.write_text("theirs")
    plant(log, kind, elsewhere)
    for truncate in (False, True):
        with pytest.raises(UsageError, match=r"server\.log.*delete it"):
            server_access.open_log(log, truncate=truncate)
    with pytest.raises(UsageError, match=r"server\.log"):
        Services(home).start("server", 4299, ["version"], {})
    assert elsewhere.read_text() == "theirs"
    assert not (home.parent / "nowhere").exists()
    assert not (home / "server.json").exists(), "no process was started"


def plant(path: Path, kind: str, elsewhere: Path) -> None:
    """Create something other than a file of this user."""
    if kind in {"link", "dangling"}:
        path.symlink_to(elsewhere if kind == "link" else elsewhere.with_name("nowhere"))
    elif kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif os.geteuid() == 0:
        path.write_text("")
        os.chown(path, OTHER, OTHER)
    else:
        pytest.skip("only root can make files of another user")


def test_a_log_is_appended_unless_truncated(home: Path) -> None:
    """The control."""
    for text in (b"one", b"two"):
        with server_access.open_log(home / "server.log") as log:
            log.write(text)
    assert (home / "server.log").read_bytes() == b"onetwo"
    assert (home / "server.log").stat().st_mode & 0o777 == 0o600
    with server_access.open_log(home / "server.log", truncate=True) as log:
        log.write(b"three")
    assert (home / "server.log").read_bytes() == b"three"


@as_root
def test_another_users_log_in_a_cache_is_replaced(home: Path) -> None:
    log, elsewhere = home / "server.log", home.parent / "elsewhere"
    elsewhere.write_text("theirs")
    for leave in (lambda: log.write_text("theirs"), lambda: log.symlink_to(elsewhere)):
        leave()
        os.chown(log, OTHER, OTHER, follow_symlinks=False)
        server_access.drop_foreign(log)
        assert not os.path.lexists(log)
    assert elsewhere.read_text() == "theirs"
    log.write_text("ours")
    server_access.drop_foreign(log)
    assert log.read_text() == "ours", "the control"


@pytest.mark.parametrize("name", ["worker", "server"])
@pytest.mark.parametrize("kind", ["link", "folder", "pipe", "theirs"])
def test_a_process_file_must_belong_to_this_user(home: Path, kind: str, name: str) -> None:
    elsewhere = home.parent / "elsewhere"
    process = stand_in(*WORKER)
    remember(home, process).rename(elsewhere)
    plant(home / f"{name}.json", kind, elsewhere)
    for answer in (up(home), editflow("down", "--home", home)):
        refused(answer, str(home / f"{name}.json"), "delete it")
    assert Services(home).running(name) is None
    assert process.is_running()


def test_down_ends_only_a_process_with_our_arguments(
    home: Path, sleeper: Callable[..., subprocess.Popen[bytes]]
) -> None:
    other, ours = sleeper("python", "notebook.py"), sleeper(*WORKER)
    remember(home, other)
    assert "nothing of `editflow up` was running" in editflow("down", "--home", home).err
    assert other.poll() is None
    remember(home, ours)
    assert "ended: worker" in editflow("down", "--home", home).err, "the control"
    ours.wait(timeout=10)


@as_root
def test_down_ends_no_other_users_process(home: Path, sleeper: Callable[..., subprocess.Popen[bytes]]) -> None:
    theirs = sleeper(*WORKER, user=OTHER)
    remember(home, theirs)
    assert "nothing of `editflow up` was running" in editflow("down", "--home", home).err
    assert theirs.poll() is None


def test_a_locked_server_is_recognised_by_its_file(home: Path) -> None:
    """Of this checkout and of another one."""
    for words in (
        (sys.modules["editflow.flows.orchestration.locked_server"].__file__ or "", "3"),
        ("/elsewhere/flows/orchestration/locked_server.py", "3"),
        ("/elsewhere/flows/locked.py", "3"),
    ):
        remember(home, stand_in(*words), "server")
        assert Services(home).running("server") is not None
    remember(home, stand_in("/elsewhere/locked.py", "worker"), "server")
    assert Services(home).running("server") is None


@pytest.mark.parametrize(("words", "ours"), [(["a", "notebook"], False), (list(WORKER), True), ([], False)])
def test_a_process_is_recognised_once_its_arguments_are_set(
    home: Path, words: list[str], ours: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For a moment during its start a process has no arguments; this is too rare to observe, so it is simulated."""
    remember(home, stand_in(*WORKER))
    seen = chain([[], [], []], repeat(words))
    monkeypatch.setattr(psutil.Process, "cmdline", lambda _: next(seen))
    monkeypatch.setattr(background_services, "_START_PATIENCE", 0.1 if not words else 60)
    assert (Services(home).running("worker") is not None) == ours


@as_root
def test_the_doctor_names_another_users_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    home = home_of(tmp_path, 4299, server_access.new_secret())
    os.chown(home, OTHER, OTHER)
    (finding,) = doctor(tmp_path)["up"]
    assert (finding["verdict"], "another user" in str(finding)) == ("problem", True)
