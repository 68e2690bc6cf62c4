"""A server admits only its owner: no foreign page, other user or other host name; it ends with its owner."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
from support.doctor_findings import doctor
from support.error_checks import refused
from support.malicious_page import Stranger, kept_out, stranger
from support.server_homes import home_of, port_of
from support.tiny_world import editflow

from editflow.flows.orchestration import locked_server, server_access

pytestmark = pytest.mark.exhaustive

ROOT = Path(__file__).parents[3]
OWNER = """
import sys, time
from pathlib import Path
from editflow.flows.orchestration import temporary_server as server
server.prepare()
print(server.begin(Path(sys.argv[1])).pid, flush=True)
import prefect.logging.configuration
prefect.logging.configuration.setup_logging()
print("set", flush=True)
time.sleep(600)
"""
OPEN = {"/api/health", "/api/ready", "/openapi.json", "/docs", "/docs/oauth2-redirect", "/redoc", "/ui-settings"}
"""Everything available without the password except the page's own files; docs/howto/scheduling.md lists it."""


def test_only_the_password_opens_a_server(server: str, secret: str) -> None:
    wrong = ["", "editflow:", "editflow:x", ":", secret[:-1], f"{secret}x", secret.upper(), f"admin:{secret[9:]}"]
    assert {server_access.status(server, secret=one) for one in wrong} == {401}
    assert server_access.status(server, secret=secret) == 200
    key = {"Authorization": f"Bearer {secret[9:]}"}
    assert requests.get(f"{server}/hello", headers=key, timeout=30).status_code == 401


@pytest.mark.parametrize("foreign", [{"Origin": "http://evil.example"}, {"Host": "evil.example"}, {"Origin": "null"}])
def test_the_password_alone_is_not_enough(server: str, secret: str, foreign: dict[str, str]) -> None:
    with requests.Session() as session:
        session.trust_env, session.auth = False, tuple(secret.split(":"))
        body = {"name": "taken"}
        assert session.post(f"{server}/flows/", json=body, headers=foreign, timeout=30).status_code == 403
        arguments = {"Access-Control-Request-Method": "POST", **foreign}
        answer = session.options(f"{server}/flows/", headers=arguments, timeout=30)
        assert (answer.status_code, "access-control-allow-origin" in answer.headers) == (403, False)
        mine = {"Origin": server.removesuffix("/api"), "Access-Control-Request-Method": "POST"}
        answer = session.options(f"{server}/flows/", headers=mine, timeout=30)
        assert answer.headers["access-control-allow-origin"] == mine["Origin"]


def routes(router: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """(method, path) of every route of an application; WS for a websocket."""
    from starlette.routing import Mount

    for route in router.routes:
        if isinstance(route, Mount):
            yield from routes(route.app, prefix + route.path) if hasattr(route.app, "routes") else ()
        elif hasattr(route, "original_router"):
            yield from routes(route.original_router, prefix)
        else:
            path = re.sub(r"\{[^}]*\}", "00000000-0000-0000-0000-000000000000", prefix + route.path)
            yield from ((method, path) for method in getattr(route, "methods", None) or ["WS"])


def test_only_the_health_check_is_open_without_a_password(server: str, secret: str) -> None:
    """Requests every route of Prefect without the password."""
    from prefect.server.api.server import create_app
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import connect

    every = set(routes(create_app(ephemeral=True)))
    assert len(every) > 150
    granted, base = set(), server.removesuffix("/api")
    with requests.Session() as session:
        session.trust_env = False
        for method, path in sorted(every):
            if method != "WS" and session.request(method, base + path, json={}, timeout=60).status_code != 401:
                granted.add(path)
    assert granted == OPEN
    sockets = sorted(path for method, path in every if method == "WS")
    assert {"/api/events/in", "/api/events/out", "/api/logs/out"} <= set(sockets)
    for path in sockets:
        for token, taken in ((None, False), ("editflow:x", False), (secret, True)):
            with connect(f"ws{base[4:]}{path}", subprotocols=["prefect"], proxy=None, open_timeout=60) as socket:
                socket.send(f'{{"type": "auth", "token": {"null" if token is None else chr(34) + token + chr(34)}}}')
                if taken:
                    assert "auth_success" in str(socket.recv(timeout=60)), path
                else:
                    with pytest.raises(ConnectionClosed):
                        socket.recv(timeout=60)


@pytest.fixture(scope="module")
def page() -> Iterator[Stranger]:
    with stranger() as found:
        yield found


def test_a_foreign_page_gets_nothing_from_a_temporary_server(
    page: Stranger, server: str, secret: str, tmp_path: Path
) -> None:
    from prefect.client.orchestration import get_client

    def there() -> list[str]:
        with get_client(sync_client=True) as client:
            return sorted(str(one.id) for one in [*client.read_flows(), *client.read_deployments()])

    before = there()
    kept_out(page, port_of(server), str(tmp_path / "canary"), secret)
    assert there() == before


@pytest.fixture
def unlocked(tmp_path: Path) -> Iterator[str]:
    """A server as Prefect itself starts it."""
    from prefect.server.api.server import SubprocessASGIServer
    from prefect.settings import PREFECT_SERVER_DATABASE_CONNECTION_URL, temporary_settings

    place = {PREFECT_SERVER_DATABASE_CONNECTION_URL: f"sqlite+aiosqlite:///{tmp_path / 'open.db'}"}
    with locked_server.listen() as free:
        plain = SubprocessASGIServer(free.getsockname()[1])
    with temporary_settings(place):
        plain.start(timeout=300)
    yield plain.api_url
    plain.stop()


def test_the_attack_works_on_a_server_without_a_lock(
    page: Stranger, unlocked: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control of the other tests. The doctor warns of such a server, and `up` does not use it."""
    made = {"flow": 201, "deployment": 201, "run": 201, "socket": "open"}
    requests.post(f"{unlocked}/work_pools/", json={"name": "editflow", "type": "process"}, timeout=60)
    assert page.attack(page.origins()[0], unlocked, str(tmp_path / "canary")) == made
    names = {one["name"] for one in requests.post(f"{unlocked}/flows/filter", json={}, timeout=60).json()}
    assert names == {"taken", "blind"}
    rebound = unlocked.replace("127.0.0.1", "evil.example")
    assert page.attack(f"{rebound}/health", rebound, str(tmp_path / "canary"))["flow"] == 200  # it exists already
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PREFECT_API_URL", unlocked)
    assert doctor(tmp_path)["prefect"][0]["verdict"] == "warning"
    home_of(tmp_path, port_of(unlocked), server_access.new_secret())
    assert doctor(tmp_path)["up"][0]["verdict"] == "problem"
    refused(editflow("up", "--port", port_of(unlocked), "--file", ROOT / "prefect.yaml"), "without a password")


def hostile_folder(folder: Path) -> Path:
    """A folder whose files would make Prefect or Python run a command that leaves a canary."""
    folder.mkdir()
    touch = {"()": "os.system", "command": f"touch {folder / 'canary-log'}"}
    (folder / "log.json").write_text(json.dumps({"version": 1, "formatters": {"x": touch}}))
    (folder / ".env").write_text(
        f"PREFECT_LOGGING_CONFIG_PATH={folder / 'log.json'}\nPREFECT_API_URL=http://evil.example\n"
    )
    (folder / "prefect.toml").write_text(f"[logging]\nconfig_path = '{folder / 'log.json'}'\n")
    for module in ("uvicorn", "prefect", "site_customize", "editflow", "flows"):
        (folder / f"{module}.py").write_text(f"open({str(folder / f'canary-{module}')!r}, 'w')")
    return folder


def test_a_server_ends_with_its_owner_also_under_kill_9(tmp_path: Path) -> None:
    """Its password is on no command line and in no file, and files of the working folder set nothing."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment |= {"EDITFLOW_CACHE": str(tmp_path / "cache"), "HTTP_PROXY": "http://127.0.0.1:9"}
    command = [sys.executable, "-P", "-c", OWNER, str(tmp_path / "cache" / "prefect")]
    theirs = hostile_folder(tmp_path / "theirs")
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, cwd=theirs) as owner:
        assert owner.stdout is not None
        begun = psutil.Process(int(owner.stdout.readline()))
        secret = begun.environ()["PREFECT_SERVER_API_AUTH_STRING"]
        assert secret.partition(":")[2] not in " ".join(begun.cmdline())
        assert owner.stdout.readline() == b"set\n"
        owner.kill()
    psutil.wait_procs([begun], timeout=120)
    assert not begun.is_running()
    assert (tmp_path / "cache" / "prefect").stat().st_mode & 0o777 == 0o700
    assert not list(theirs.glob("canary*"))
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.suffix == ".db" for path in files)
    assert not [path for path in files if secret.partition(":")[2].encode() in path.read_bytes()]


@pytest.mark.parametrize("command", ["report last", "down"])
def test_files_of_the_folder_of_a_command_set_nothing(reference, tmp_path: Path, command: str) -> None:
    """The protection runs before every command, so two commands are enough."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    theirs = hostile_folder(tmp_path / "theirs")
    shutil.copytree(reference.lake, theirs / "lake")
    words = [sys.executable, "-P", "-c", "from editflow.flows.cli.main import main; main()", *command.split()]
    done = subprocess.run(words, env=environment, cwd=theirs, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert ".env" in done.stderr
    assert not list(theirs.glob("canary*"))


@pytest.mark.parametrize("given", ["", "internal.example", "localhost, .example", "*"])
def test_no_request_to_this_machine_goes_through_a_proxy(
    server: str, secret: str, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    from prefect.client.orchestration import get_client

    assert server_access.status(server, secret=secret) == 200
    for name in ("http_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("all_proxy", "socks5://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", given)
    monkeypatch.delenv("no_proxy", raising=False)
    server_access.without_proxy(os.environ)
    assert os.environ["no_proxy"].startswith(given.split(",", maxsplit=1)[0])
    assert server_access.status(server, secret=secret) == 200
    with get_client(sync_client=True) as client:
        assert client.hello().status_code == 200


def test_without_a_proxy_nothing_is_set() -> None:
    environment: dict[str, str] = {}
    server_access.without_proxy(environment)
    assert environment == {}
