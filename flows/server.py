"""Prefect's temporary server: quiet, given time to start, and not left behind by runs that were killed."""

from __future__ import annotations

import contextlib
import os
import signal

OWNER = "EDITFLOW_SERVER_OWNER"
QUIET = {
    # On a busy laptop the server takes longer than its default of 20 s, and it must not phone home.
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
    "DO_NOT_TRACK": "1",
}


def prepare() -> bool:
    """Set Prefect's environment before it is imported; True when it will start a server of its own."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    os.environ[OWNER] = str(os.getpid())
    return not os.environ.get("PREFECT_API_URL")


def reap() -> int:
    """End temporary servers whose owner is gone (a run under kill -9 cannot end its own); how many there were."""
    import psutil  # type: ignore[import-untyped]

    ended = 0
    for process in psutil.process_iter(["cmdline"]):
        with contextlib.suppress(psutil.Error, ValueError):
            if "prefect.server" not in " ".join(process.info["cmdline"] or ()):
                continue
            owner = process.environ().get(OWNER)
            if owner is not None and not psutil.pid_exists(int(owner)):
                process.send_signal(signal.SIGTERM)
                ended += 1
    return ended
