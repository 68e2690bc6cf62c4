"""Prefect's server and a worker in the background: started, found again by their process, and stopped, these alone.

`prefect server start --background` would write its log into a closed pipe, and `prefect server stop` ends whatever
process has the number in its file by then; so a process is begun here, with a log, and known by its start time.
"""

from __future__ import annotations

import json
import os
import platform
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]
from prefect.client.orchestration import SyncPrefectClient
from prefect.exceptions import PrefectHTTPStatusError

from flows.deployments import check
from flows.errors import UsageError
from flows.owners import close_dead
from flows.server import QUIET
from storage.runs import may_exist
from tasks.progress import working

POOL = "editflow"
_WORKER = f"editflow@{platform.node()}"
PATIENCE = 180
"""Seconds that a new server may take until it answers; a new database on a busy machine needs 30."""


@dataclass(frozen=True)
class Services:
    """The server and the worker of a folder, which holds Prefect's database and settings, process files and logs."""

    home: Path

    def start(self, name: str, port: int, words: Sequence[str], environment: Mapping[str, str]) -> None:
        """Begin `prefect WORDS` in a session of its own; its output goes to the log."""
        with self.log(name).open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 - our own words
                [sys.executable, "-m", "prefect", *words], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=dict(environment), start_new_session=True,
            )  # fmt: skip
        known = {"pid": process.pid, "started": psutil.Process(process.pid).create_time(), "port": port}
        self._file(name).write_text(json.dumps(known))

    def running(self, name: str) -> psutil.Process | None:
        """The process, unless it is gone."""
        known = self._known(name)
        alive = known and may_exist(platform.node(), int(known["pid"]), known["started"])
        return psutil.Process(int(known["pid"])) if alive else None

    @property
    def port(self) -> int:
        """Where the server listens, or did."""
        return int(self._known("server").get("port", 0))

    def stop(self, name: str, patience: float = 30) -> bool:
        """End the process if it is there, with all that it started, at last by force; whether it was."""
        if (process := self.running(name)) is not None:
            under = process.children(recursive=True)
            process.terminate()
            _, left = psutil.wait_procs([process, *under], timeout=patience)
            for one in left:
                with suppress(psutil.NoSuchProcess):
                    one.kill()
        self._file(name).unlink(missing_ok=True)
        return process is not None

    def log(self, name: str) -> Path:
        """The file with all that it said."""
        return self.home / f"{name}.log"

    def wait(self, name: str, ready: Callable[[], bool]) -> None:
        """Until it is ready; raises UsageError when it ends before, or when that takes too long."""
        end = time.monotonic() + PATIENCE
        with working(f"waiting for Prefect's {name}"):
            while not ready():
                if self.running(name) is None or time.monotonic() > end:
                    raise UsageError(f"Prefect's {name} did not start: {self.log(name)} says why")
                time.sleep(0.2)

    def environment(self, port: int, root: Path) -> dict[str, str]:
        """That of both processes and of the flow runs of the worker; what the user has set already stays."""
        ours = {
            "PREFECT_API_URL": _api(port),
            "PREFECT_HOME": str(self.home),
            "EDITFLOW_HOME": str(root),
        }
        return {**QUIET, "PREFECT_LOGGING_LEVEL": "INFO", **os.environ, **ours}

    def _file(self, name: str) -> Path:
        return self.home / f"{name}.json"

    def _known(self, name: str) -> dict[str, float]:
        try:
            found = json.loads(self._file(name).read_text())
            return {key: float(found[key]) for key in ("pid", "started", "port")}
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return {}


def up(home: Path, port: int, deployments: Path) -> Services:
    """Server, work pool, deployments and worker, those that are not there yet; raises UsageError with one line."""
    if not deployments.is_file():
        raise UsageError(f"no {deployments}: say it in the repository's folder, or give the file with --file")
    check(deployments)
    home.mkdir(parents=True, exist_ok=True)
    services, root = Services(home.resolve()), deployments.resolve().parent
    environment = services.environment(port, root)
    _serve(services, port, environment)
    with SyncPrefectClient(_api(port)) as client:
        close_dead(client)
        if services.running("worker") is None:
            words = ["worker", "start", "--pool", POOL, "--type", "process", "--name", _WORKER]
            services.start("worker", port, words, environment)  # makes the pool where there is none
        services.wait("worker", lambda: _polls(client, services))
    _deploy(services, deployments.resolve(), environment)
    return services


def down(home: Path) -> list[str]:
    """End the worker and the server of a folder, and no other process; the names of those that ran."""
    services = Services(home.resolve())
    ended = ["worker"] if services.stop("worker") else []
    if services.running("server") is not None:
        if _healthy(services.port):
            with SyncPrefectClient(_api(services.port)) as client:
                close_dead(client)  # the worker's runs, which ended with it: their next run goes on
        services.stop("server")
        ended.append("server")
    return ended


def _serve(services: Services, port: int, environment: Mapping[str, str]) -> None:
    if services.running("server") is not None and services.port != port:
        raise UsageError(
            f"a server of {services.home} listens on port {services.port} already: say `editflow down` first"
        )
    if services.running("server") is None:
        if _taken(port):
            raise UsageError(f"port {port} is taken by another program: choose one with --port (make up PORT=4201)")
        words = ["server", "start", "--host", "127.0.0.1", "--port", str(port)]
        services.start("server", port, words, environment)
    services.wait("server", lambda: _healthy(port))


def _deploy(services: Services, deployments: Path, environment: Mapping[str, str]) -> None:
    """Register what the file has; Prefect replaces what is registered already."""
    words = ["--no-prompt", "deploy", "--all", "--prefect-file", str(deployments)]
    with services.log("deploy").open("wb") as log:
        done = subprocess.run(  # noqa: S603 - our own words
            [sys.executable, "-m", "prefect", *words], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            env=dict(environment), cwd=deployments.parent, check=False,
        )  # fmt: skip
    if done.returncode:
        raise UsageError(f"{deployments} could not be deployed: {services.log('deploy')} says why")


def _api(port: int) -> str:
    return f"http://127.0.0.1:{port}/api"


def _healthy(port: int) -> bool:
    with SyncPrefectClient(_api(port)) as client:
        return client.api_healthcheck() is None


def _polls(client: SyncPrefectClient, services: Services) -> bool:
    """Whether our worker, and no earlier one of its name, has told the server that it is there."""
    worker = services.running("worker")
    try:
        found = client.read_workers_for_work_pool(POOL)
    except PrefectHTTPStatusError:  # the worker has not made the pool yet
        return False
    beats = [one.last_heartbeat_time for one in found if one.name == _WORKER]
    return worker is not None and any(beat and beat.timestamp() >= worker.create_time() for beat in beats)


def _taken(port: int) -> bool:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False
