"""Prefect's temporary server: quiet, with a database of its own, and not left behind by runs that were killed."""

from __future__ import annotations

import contextlib
import os
import platform
import signal
from importlib.metadata import version

from editing.errors import first_line
from flows import environment
from flows.errors import UsageError
from flows.output import print_line
from tasks.fetch import cache
from tasks.progress import working

OWNER = "EDITFLOW_SERVER_OWNER"
QUIET = {
    # On a busy laptop the server takes longer than its default of 20 s, and it must not phone home.
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
    "DO_NOT_TRACK": "1",
}


def prepare() -> None:
    """Set Prefect's environment, before it is imported."""
    # The user's own Prefect database stays as it is; another version of Prefect would migrate it, or fail on it.
    folder = environment.made_folder(cache() / "prefect", "EDITFLOW_CACHE")
    database = folder / f"server-{version('prefect')}.db"
    ours = {"PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{database.absolute()}"}
    for name, value in (QUIET | ours).items():
        os.environ.setdefault(name, value)
    os.environ[OWNER] = _owner(os.getpid())
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
    from prefect.settings import PREFECT_API_URL

    url = PREFECT_API_URL.value()
    if not url:
        print_line("  [dim]starting Prefect's temporary server …[/]")
    try:
        with working("waiting for Prefect's server"), get_client(sync_client=True) as client:
            client.hello().raise_for_status()
    except Exception as error:
        remedy = "check PREFECT_API_URL, or unset it for a temporary server" if url else "run again"
        where = url or "(a temporary one)"
        raise UsageError(f"Prefect's server {where} does not answer ({first_line(error)}); {remedy}") from error


def reap() -> int:
    """End temporary servers whose owner is gone (a run under kill -9 cannot end its own); how many there were."""
    import psutil  # type: ignore[import-untyped]

    ended = 0
    for process in psutil.process_iter(["cmdline"]):
        with contextlib.suppress(psutil.Error, ValueError):
            if "prefect.server" not in " ".join(process.info["cmdline"] or ()):
                continue
            pid, _, _host = (owner := process.environ().get(OWNER, "")).partition("@")
            # Another host's or container's process numbers say nothing here.
            if owner == _owner(int(pid)) and not psutil.pid_exists(int(pid)):
                process.send_signal(signal.SIGTERM)
                ended += 1
    return ended


def _owner(pid: int) -> str:
    return f"{pid}@{platform.node()}"
