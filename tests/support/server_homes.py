"""Home folders of `editflow up` with a simulated server."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from editflow.flows.orchestration import server_access


def port_of(url: str) -> int:
    """The port of an API's URL."""
    return int(urlsplit(url).port or 0)


@cache
def stand_in(*words: str) -> psutil.Process:
    """An idle process with the arguments of a Prefect process; it ends with this process."""
    command = [sys.executable, "-c", "import sys; sys.stdin.read()", *words]
    return psutil.Popen(command, stdin=subprocess.PIPE)


def home_of(folder: Path, port: int, secret: str) -> Path:
    """A home in the folder that names one of our processes as the server of `editflow up`."""
    home = server_access.private(folder / server_access.HOME)
    server_access.write_private(home / server_access.PASSWORD, secret)
    process = stand_in("prefect", "server", "start")
    known = {"pid": process.pid, "started": process.create_time(), "port": port}
    (home / "server.json").write_text(json.dumps(known))
    return home
