"""Prefect's temporary server: locked, quiet, with its own database, and never left behind by a killed run."""

from __future__ import annotations

import atexit
import contextlib
import os
import platform
import signal
import subprocess
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from editflow.editing.errors import first_line
from editflow.flows.console.errors import UsageError
from editflow.flows.console.output import print_line
from editflow.flows.console.signals import OWNER
from editflow.flows.orchestration import locked_server, server_access
from editflow.flows.orchestration import prefect_environment as environment
from editflow.flows.orchestration.prefect_environment import PATIENCE, QUIET
from editflow.tasks.console.progress import working
from editflow.tasks.sources.packaged_data import cache

_ALONE = {"PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1", "PREFECT_SERVER_LOGGING_LEVEL": "ERROR"}
"""No page, and only those of Prefect's services that its own temporary server has."""


def prepare() -> None:
    """Set Prefect's environment, before it is imported."""
    environment.check_working_folder()
    # The user's own Prefect database stays as it is; another version of Prefect would migrate it, or fail on it.
    folder = environment.made_folder(_folder(), "EDITFLOW_CACHE")
    database = folder / f"server-{version('prefect')}.db"
    ours = {"PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{database.absolute()}"}
    for name, value in (QUIET | ours).items():
        os.environ.setdefault(name, value)
    os.environ[OWNER] = _owner(os.getpid())
    server_access.without_proxy(os.environ)
    environment.check_prefect()


def ready() -> None:
    """All of it, for a command that runs a flow."""
    prepare()
    if left := reap():
        print_line(f"  ended {left} Prefect server{'s' * (left > 1)} that a killed run had left behind")
    start()


def start() -> None:
    """Wait for the server that Prefect is set to, or for a temporary one. Raises UsageError when it does not answer."""
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL

    if not (url := PREFECT_API_URL.value()):
        print_line("  [dim]starting Prefect's temporary server …[/]")
        begin(_folder())
    elif not PREFECT_API_AUTH_STRING.value() and (secret := home_secret(url)):
        _use({"PREFECT_API_AUTH_STRING": secret})
    try:
        with working("waiting for Prefect's server"), get_client(sync_client=True) as client:
            client.hello().raise_for_status()
    except Exception as error:
        raise UsageError(_silent(url, error)) from error


def home_secret(url: str) -> str:
    """The password of the running server of `editflow up` in this folder, where the address is that server's."""
    from editflow.flows.orchestration.background_services import Services

    services = Services(server_access.HOME)
    known = services.running("server") is not None and url.rstrip("/") in services.addresses
    return server_access.read_secret(server_access.HOME) if known else ""


def begin(folder: Path) -> subprocess.Popen[bytes]:
    """Start a temporary server that ends with this process; set Prefect to it, here and in processes begun here."""
    from prefect.settings import get_current_settings

    home = server_access.private(folder, "set EDITFLOW_CACHE to another", root_anywhere=True)
    secret, log = server_access.new_secret(), home / "server.log"
    server_access.drop_foreign(log)
    settings = get_current_settings().to_environment_variables(exclude_unset=True)
    with locked_server.listen() as listener, server_access.open_log(log) as said:
        port = listener.getsockname()[1]
        lock = server_access.server_settings(secret, port)
        environment = {**os.environ, **settings, **_ALONE, **lock, OWNER: _owner(os.getpid())}
        environment[locked_server.UNTIL_EOF] = "1"
        process = locked_server.begin(listener, environment, said, subprocess.PIPE, folder)
    atexit.register(end, process)
    with working("waiting for Prefect's server"):
        _await(process, server_access.api(port), log)
    _use(server_access.client_settings(secret, port))
    return process


def end(process: subprocess.Popen[bytes], patience: float = 10) -> None:
    """End a server of `begin`, at last by force."""
    if process.stdin is not None:
        process.stdin.close()
    process.terminate()
    try:
        process.wait(timeout=patience)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def reap() -> int:
    """End temporary servers whose owner is gone (a run under kill -9 cannot end its own); how many there were."""
    import psutil  # type: ignore[import-untyped]

    ended = 0
    for process in psutil.process_iter(["cmdline"]):
        with contextlib.suppress(psutil.Error, ValueError):
            words = " ".join(process.info["cmdline"] or ())
            if "prefect.server" not in words and str(Path(locked_server.__file__).resolve()) not in words:
                continue
            pid, _, _host = (owner := process.environ().get(OWNER, "")).partition("@")
            # Another host's or container's process numbers say nothing here.
            if owner == _owner(int(pid)) and not psutil.pid_exists(int(pid)):
                process.send_signal(signal.SIGTERM)
                ended += 1
    return ended


def _use(settings: Mapping[str, str]) -> None:
    """Set Prefect, which reads its environment when it is imported, to a server, and with it processes of this one."""
    from prefect.context import refresh_global_settings_context

    os.environ.update(settings)
    with environment.elsewhere():
        refresh_global_settings_context()


def _await(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while not server_access.answers(url):
        if process.poll() is not None or time.monotonic() > deadline:
            raise UsageError(f"Prefect's temporary server did not start: {log} says why")
        time.sleep(0.1)


def _silent(url: str | None, error: Exception) -> str:
    """What to say of a server that refuses or does not answer."""
    where = url or "(a temporary one)"
    if getattr(getattr(error, "response", None), "status_code", 0) == 401:
        return (
            f"Prefect's server {where} wants another password: set PREFECT_API_AUTH_STRING to its user:password "
            "(of `editflow up`: `. .editflow/env` in its folder)"
        )
    remedy = "check PREFECT_API_URL, or unset it for a temporary server" if url else "run again"
    return f"Prefect's server {where} does not answer ({first_line(error)}); {remedy}"


def _folder() -> Path:
    return cache() / "prefect"


def _owner(pid: int) -> str:
    return f"{pid}@{platform.node()}"
