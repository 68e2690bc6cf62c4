"""Prefect's temporary server: locked, quiet, with its own database; it ends even if its run is killed."""

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
"""No page, and only the services of Prefect's own temporary server."""


def prepare() -> None:
    """Set Prefect's environment. Call it before Prefect is imported."""
    environment.check_working_folder()
    # Not the user's own Prefect database: another version of Prefect would migrate it, or fail on it.
    folder = environment.made_folder(_folder(), "EDITFLOW_CACHE")
    database = folder / f"server-{version('prefect')}.db"
    ours = {"PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{database.absolute()}"}
    for name, value in (QUIET | ours).items():
        os.environ.setdefault(name, value)
    os.environ[OWNER] = _owner(os.getpid())
    server_access.without_proxy(os.environ)
    environment.check_prefect()


def ready() -> None:
    """Prepare Prefect and its server for a command that runs a flow."""
    prepare()
    if left := reap():
        print_line(f"  ended {left} Prefect server{'s' * (left > 1)} left behind by a killed run")
    start()


def start() -> None:
    """Wait for the configured server, or start a temporary one. Raises UsageError if it does not answer."""
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL

    if not (url := PREFECT_API_URL.value()):
        print_line("  [dim]starting Prefect's temporary server …[/]")
        begin(_folder())
    elif not PREFECT_API_AUTH_STRING.value() and (secret := home_secret(url)):
        _configure({"PREFECT_API_AUTH_STRING": secret})
    try:
        with working("waiting for Prefect's server"), get_client(sync_client=True) as client:
            client.hello().raise_for_status()
    except Exception as error:
        raise UsageError(_unreachable(url, error)) from error


def home_secret(url: str) -> str:
    """The password of the server of `editflow up` in this folder, if the address is that server's; else empty."""
    from editflow.flows.orchestration.background_services import Services

    services = Services(server_access.HOME)
    known = services.running("server") is not None and url.rstrip("/") in services.addresses
    return server_access.read_secret(server_access.HOME) if known else ""


def begin(folder: Path) -> subprocess.Popen[bytes]:
    """Start a temporary server that ends with this process, and configure Prefect for it."""
    from prefect.settings import get_current_settings

    home = server_access.private(folder, "set EDITFLOW_CACHE to another", root_anywhere=True)
    secret, log = server_access.new_secret(), home / "server.log"
    server_access.drop_foreign(log)
    settings = get_current_settings().to_environment_variables(exclude_unset=True)
    with locked_server.listen() as listener, server_access.open_log(log) as log_file:
        port = listener.getsockname()[1]
        lock = server_access.server_settings(secret, port)
        environment = {**os.environ, **settings, **_ALONE, **lock, OWNER: _owner(os.getpid())}
        environment[locked_server.UNTIL_EOF] = "1"
        process = locked_server.begin(listener, environment, log_file, subprocess.PIPE, folder)
    atexit.register(end, process)
    with working("waiting for Prefect's server"):
        _wait_for_answer(process, server_access.api(port), log)
    _configure(server_access.client_settings(secret, port))
    return process


def end(process: subprocess.Popen[bytes], patience: float = 10) -> None:
    """End a server of `begin`, by force after `patience` seconds."""
    if process.stdin is not None:
        process.stdin.close()
    process.terminate()
    try:
        process.wait(timeout=patience)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def reap() -> int:
    """End temporary servers whose owner was killed; return their number."""
    import psutil  # type: ignore[import-untyped]

    ended = 0
    for process in psutil.process_iter(["cmdline"]):
        with contextlib.suppress(psutil.Error, ValueError):
            words = " ".join(process.info["cmdline"] or ())
            if "prefect.server" not in words and str(Path(locked_server.__file__).resolve()) not in words:
                continue
            pid, _, _host = (owner := process.environ().get(OWNER, "")).partition("@")
            # Process numbers of other hosts and containers mean nothing here.
            if owner == _owner(int(pid)) and not psutil.pid_exists(int(pid)):
                process.send_signal(signal.SIGTERM)
                ended += 1
    return ended


def _configure(settings: Mapping[str, str]) -> None:
    """Configure Prefect, which is already imported, and child processes for a server."""
    from prefect.context import refresh_global_settings_context

    os.environ.update(settings)
    with environment.elsewhere():
        refresh_global_settings_context()


def _wait_for_answer(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while not server_access.answers(url):
        if process.poll() is not None or time.monotonic() > deadline:
            raise UsageError(f"Prefect's temporary server did not start: see {log}")
        time.sleep(0.1)


def _unreachable(url: str | None, error: Exception) -> str:
    """The message for a server that refuses or does not answer."""
    where = url or "(a temporary one)"
    if getattr(getattr(error, "response", None), "status_code", 0) == 401:
        return (
            f"Prefect's server {where} requires another password: set PREFECT_API_AUTH_STRING to its user:password "
            "(of `editflow up`: `. .editflow/env` in its folder)"
        )
    remedy = "check PREFECT_API_URL, or unset it for a temporary server" if url else "run again"
    return f"Prefect's server {where} does not answer ({first_line(error)}); {remedy}"


def _folder() -> Path:
    return cache() / "prefect"


def _owner(pid: int) -> str:
    return f"{pid}@{platform.node()}"
