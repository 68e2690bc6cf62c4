"""Only its owner can read the home of `editflow up`, and its password is sent only to its own server."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from support.doctor_findings import doctor
from support.error_checks import refused
from support.server_homes import home_of, port_of
from support.tiny_world import World, editflow

from editflow.flows.console.errors import UsageError
from editflow.flows.orchestration import server_access
from editflow.flows.orchestration import temporary_server as temporary


def test_only_the_owner_can_read_a_home(tmp_path: Path) -> None:
    home = server_access.private_home(tmp_path / "home")
    secret, fresh = server_access.make_secret(home)
    assert fresh
    assert (home.stat().st_mode & 0o777, (home / server_access.PASSWORD).stat().st_mode & 0o777) == (0o700, 0o600)
    assert server_access.make_secret(home) == (secret, False)
    home.chmod(0o755)
    assert server_access.private_home(home).stat().st_mode & 0o777 == 0o700
    (home / server_access.PASSWORD).chmod(0o644)  # others may have read it
    assert server_access.make_secret(home)[0] != secret
    assert (home / server_access.PASSWORD).stat().st_mode & 0o777 == 0o600
    assert not list(home.glob(".tmp-*"))


@pytest.mark.parametrize(("user", "may"), [(0, True), (os.geteuid() + 1, False)])
def test_root_may_use_another_users_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: int, may: bool
) -> None:
    """As in a container with a mounted cache; other users are refused, with the caller's remedy."""
    folder, found = tmp_path / "cache", tmp_path.stat()
    folder.mkdir(mode=0o755)
    if os.geteuid() == 0:
        os.chown(folder, 1234, found.st_gid)
    monkeypatch.setattr(os, "geteuid", lambda: user)
    if may:
        assert server_access.private(folder, root_anywhere=True).stat().st_mode & 0o777 == 0o700
        monkeypatch.setattr(Path, "chmod", refuse)  # root in a container, where the owner is another user
        os.chmod(folder, 0o750)  # noqa: PTH101, S103
        if folder.stat().st_uid != user:
            assert server_access.private(folder, root_anywhere=True) == folder
        return
    with pytest.raises(UsageError, match="another user.*EDITFLOW_CACHE"):
        server_access.private(folder, "set EDITFLOW_CACHE", root_anywhere=True)
    with pytest.raises(UsageError, match="another user.*--home"):
        server_access.private_home(folder)
    assert folder.stat().st_mode & 0o777 == 0o755


def refuse(*_given: object) -> None:
    raise PermissionError(1, "not permitted")


@pytest.mark.parametrize("text", ["", "\n", "x", "editflow:", "editflow:short", "admin:" + "x" * 43, "\xff", "a b c"])
def test_a_damaged_password_is_replaced(tmp_path: Path, text: str) -> None:
    (tmp_path / server_access.PASSWORD).write_bytes(text.encode("latin-1"))
    (tmp_path / server_access.PASSWORD).chmod(0o600)
    with pytest.raises(UsageError, match="password"):
        server_access.read_secret(tmp_path)
    secret, fresh = server_access.make_secret(tmp_path)
    assert (fresh, server_access.read_secret(tmp_path)) == (True, secret)


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("theirs")
    home = server_access.private(tmp_path / "home")
    (home / server_access.PASSWORD).symlink_to(elsewhere)
    server_access.make_secret(home)
    assert elsewhere.read_text() == "theirs"
    assert not (home / server_access.PASSWORD).is_symlink()


def test_a_folder_with_other_files_is_refused_as_home(tmp_path: Path) -> None:
    """If made private, a folder of others would no longer be accessible to them."""
    full, shared = tmp_path / "full", tmp_path / "shared"
    full.mkdir(mode=0o755)
    (full / "thesis.tex").write_text("")
    shared.mkdir()
    shared.chmod(0o1777)
    for folder in (full, shared):
        before = folder.stat().st_mode
        refused(editflow("up", "--home", folder), "--home")
        assert folder.stat().st_mode == before
    (tmp_path / "file").write_text("")
    refused(editflow("up", "--home", tmp_path / "file"), "file")
    (full / "prefect.db").write_text("")  # of an earlier version's `up`
    assert server_access.private_home(full).stat().st_mode & 0o777 == 0o700


def test_the_doctor_checks_a_chosen_server(server: str, secret: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PREFECT_API_URL", server)
    for given, verdict in ((secret, "ok"), ("editflow:x", "problem"), ("", "problem")):
        monkeypatch.setenv("PREFECT_API_AUTH_STRING", given)
        (finding,) = doctor(tmp_path)["prefect"]
        assert (finding["verdict"], secret[9:] in str(finding)) == (verdict, False)
    monkeypatch.delenv("PREFECT_API_AUTH_STRING")
    home_of(tmp_path, port_of(server), secret)
    assert doctor(tmp_path)["prefect"][0]["verdict"] == "ok"
    monkeypatch.setenv("PREFECT_API_URL", "http://somebody:hunter2@127.0.0.1:9/api")
    (finding,) = doctor(tmp_path)["prefect"]
    assert (finding["verdict"], "hunter2" in str(finding)) == ("problem", False)


def test_the_doctor_checks_the_home(server: str, secret: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    assert "up" not in doctor(tmp_path)
    home = home_of(tmp_path, port_of(server), secret)
    assert [one["verdict"] for one in doctor(tmp_path)["up"]] == ["ok"]
    home.chmod(0o755)
    assert [one["verdict"] for one in doctor(tmp_path)["up"]] == ["warning", "ok"]
    home.chmod(0o700)
    for text in ("", server_access.new_secret()):
        server_access.write_private(home / server_access.PASSWORD, text)
        (finding,) = doctor(tmp_path)["up"]
        assert (finding["verdict"], "editflow up" in finding["remedy"]) == ("problem", True)
    (home / "server.json").unlink()
    assert [one["verdict"] for one in doctor(tmp_path)["up"]] == ["ok"]


def test_a_run_uses_the_password_of_the_home_only_for_its_own_server(
    server: str, secret: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert temporary.home_secret(server) == ""
    home = home_of(tmp_path, port_of(server), secret)
    assert temporary.home_secret(server) == temporary.home_secret(f"{server}/") == secret
    others = (
        "http://evil.example/api",
        server.replace("127.0.0.1", "127.0.0.2"),
        f"http://127.0.0.1:{port_of(server) + 1}/api",
    )
    assert [temporary.home_secret(other) for other in others] == ["", "", ""]
    rewritten = json.loads((home / "server.json").read_text()) | {"started": 0}  # it has ended
    (home / "server.json").write_text(json.dumps(rewritten))
    assert temporary.home_secret(server) == ""


def test_a_wrong_password_gets_one_line(
    server: str, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect.settings import PREFECT_API_AUTH_STRING, temporary_settings

    monkeypatch.chdir(tmp_path)
    for given in ("editflow:x", None):
        with temporary_settings({PREFECT_API_AUTH_STRING: given}):
            answer = editflow("run", world.spec, "--lake", tmp_path / "lake")
        refused(answer, "PREFECT_API_AUTH_STRING")
