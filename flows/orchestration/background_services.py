"""Starts, finds and stops Prefect's server and a worker in the background, without touching other processes.

`prefect server start --background` would write its log into a closed pipe, and `prefect server stop` ends any process
that now has the recorded number. So processes are started here, with a log, and recognised by their start time.
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
from itertools import pairwise
from pathlib import Path

import psutil  # type: ignore[import-untyped]
from prefect.client.orchestration import SyncPrefectClient
from prefect.exceptions import PrefectHTTPStatusError

from editflow.flows.console.errors import UsageError
from editflow.flows.console.input_files import read_small
from editflow.flows.orchestration import locked_server, server_access
from editflow.flows.orchestration.crashed_runs import mark_crashed
from editflow.flows.orchestration.deployment_file import check
from editflow.flows.orchestration.prefect_environment import PATIENCE, QUIET
from editflow.storage.records.runs import may_be_running
from editflow.tasks.console.progress import working

POOL = "editflow"
_WORKER = f"editflow@{platform.node()}"
_PREFECT = (sys.executable, "-P", "-m", "prefect")
"""-P: no module of the working folder can replace one of Prefect's."""
_SERVER_FILES = {Path(locked_server.__file__).parts[-2:], ("flows", "locked.py")}
"""The last two parts of the path of the server's file, now and in an earlier version."""
_START_PATIENCE = 10
"""Seconds to wait for the command line of a new process."""
_NAMES = ("worker", "server")
_OTHER_SERVERS = {"PREFECT_API_KEY", "PREFECT_API_AUTH_STRING", "PREFECT_SERVER_API_AUTH_STRING"}


@dataclass(frozen=True)
class Services:
    """The server and worker of a home: a folder with Prefect's database and settings, process files and logs."""

    home: Path

    def start(self, name: str, port: int, words: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start `prefect WORDS` in a new session; its output goes to the log."""
        self._forget(name)
        with server_access.open_log(self.log(name)) as log:
            process = subprocess.Popen(  # noqa: S603 - a fixed command
                [*_PREFECT, *words], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=dict(environment), start_new_session=True, cwd=self.home,
            )  # fmt: skip
        self._remember(name, process, port)

    def serve(self, listener: socket.socket, environment: Mapping[str, str]) -> None:
        """Start the locked server on a socket, in the same way."""
        self._forget("server")
        with server_access.open_log(self.log("server")) as log:
            process = locked_server.begin(listener, environment, log, subprocess.DEVNULL, self.home)
        self._remember("server", process, listener.getsockname()[1])

    @property
    def addresses(self) -> list[str]:
        """Addresses of the server's API."""
        return [f"{origin}/api" for origin in locked_server.origins(self.port)]

    def client(self) -> SyncPrefectClient:
        """A client of the server that uses no proxy."""
        secret = server_access.read_secret(self.home)
        return SyncPrefectClient(server_access.api(self.port), auth_string=secret, httpx_settings={"trust_env": False})

    def running(self, name: str) -> psutil.Process | None:
        """The process, or None if it has ended or its number now belongs to a process that `up` did not start."""
        known = self._known(name)
        if not known or not may_be_running(platform.node(), int(known["pid"]), known["started"]):
            return None
        with suppress(psutil.Error):  # it ended just now
            process = psutil.Process(int(known["pid"]))
            return process if _ours(process) else None
        return None

    @property
    def port(self) -> int:
        """The last known port of the server."""
        return int(self._known("server").get("port", 0))

    def stop(self, name: str, patience: float = 30) -> bool:
        """End the process and its children, by force after `patience` seconds; return whether it was running."""
        self.check(name)
        if (process := self.running(name)) is not None:
            under = process.children(recursive=True)
            process.terminate()
            _, left = psutil.wait_procs([process, *under], timeout=patience)
            for one in left:
                with suppress(psutil.NoSuchProcess):
                    one.kill()
        self._forget(name)
        return process is not None

    def check(self, *names: str) -> None:
        """Raise UsageError if a process file is not a regular file of the caller."""
        for name in names:
            server_access.own_file(self._file(name))

    def log(self, name: str) -> Path:
        """The log file of a service."""
        return self.home / f"{name}.log"

    def wait(self, name: str, ready: Callable[[], bool]) -> None:
        """Wait until it is ready. Raises UsageError if it ends before that or takes too long."""
        end = time.monotonic() + PATIENCE
        with working(f"waiting for Prefect's {name}"):
            while not ready():
                if self.running(name) is None or time.monotonic() > end:
                    raise UsageError(f"Prefect's {name} did not start: see {self.log(name)}")
                time.sleep(0.2)

    def environment(self, port: int, root: Path) -> dict[str, str]:
        """The environment of the worker and its flow runs: the user's settings, except the server's address."""
        ours = {
            **server_access.client_settings(server_access.read_secret(self.home), port),
            "PREFECT_HOME": str(self.home),
            "EDITFLOW_HOME": str(root),
        }
        # Not the passwords and keys of other servers.
        given = {name: value for name, value in os.environ.items() if name not in _OTHER_SERVERS}
        found = {**QUIET, "PREFECT_LOGGING_LEVEL": "INFO", **given, **ours}
        server_access.without_proxy(found)
        return found

    def _remember(self, name: str, process: subprocess.Popen[bytes], port: int) -> None:
        known = {"pid": process.pid, "started": psutil.Process(process.pid).create_time(), "port": port}
        server_access.write_private(self._file(name), json.dumps(known))

    def _forget(self, name: str) -> None:
        """Remove the process file before a start: a process without a file would not be found again."""
        self.check(name)
        self._file(name).unlink(missing_ok=True)

    def _file(self, name: str) -> Path:
        return self.home / f"{name}.json"

    def _known(self, name: str) -> dict[str, float]:
        """The content of the process file; empty if it is invalid or not ours."""
        try:
            server_access.own_file(self._file(name))
            found = json.loads(read_small(self._file(name), UsageError))
            known = {key: float(found[key]) for key in ("pid", "started", "port")}
        except (FileNotFoundError, UsageError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
            return {}
        plausible = 0 < known["pid"] < 2**31 and 0 <= known["started"] < 2**40 and 0 <= known["port"] < 2**16
        return known if plausible else {}


def up(home: Path, port: int, deployments: Path) -> Services:
    """Start the server, work pool, deployments and worker that are not running yet. Raises UsageError."""
    if not deployments.is_file():
        raise UsageError(f"no {deployments}: run it in the repository's folder, or give the file with --file")
    check(deployments)
    services, root = Services(server_access.private_home(home)), deployments.resolve().parent
    services.check(*_NAMES)
    _serve(services, port, root)
    environment = services.environment(port, root)
    with services.client() as client:
        mark_crashed(client)
        if services.running("worker") is None:
            words = ["worker", "start", "--pool", POOL, "--type", "process", "--name", _WORKER]
            services.start("worker", port, words, environment)  # creates the pool if necessary
        services.wait("worker", lambda: _polls(client, services))
    _deploy(services, deployments.resolve(), environment)
    return services


def down(home: Path) -> list[str]:
    """End the worker and the server of a home, and no other process; return the names of those that ran."""
    services = Services(home.resolve())
    with suppress(FileNotFoundError):
        server_access.check_owner(services.home)
    services.check(*_NAMES)
    ended = ["worker"] if services.stop("worker") else []
    if services.running("server") is not None:
        # Runs of the worker ended with it; the next run continues them. Without the password, the server still ends.
        with suppress(UsageError, PrefectHTTPStatusError):
            if server_access.answers(server_access.api(services.port)):
                with services.client() as client:
                    mark_crashed(client)
        services.stop("server")
        ended.append("server")
    return ended


def _ours(process: psutil.Process) -> bool:
    """Whether a process belongs to the caller and is a server or worker by its command line."""
    if process.uids().effective != os.geteuid():
        return False
    words = _command_line(process)
    # Also one of another checkout, or of an earlier version, which ran `prefect server start`.
    own_server = any(Path(word).parts[-2:] in _SERVER_FILES for word in words)
    started = {("worker", "start"), ("server", "start")} & set(pairwise(words))
    return own_server or ("prefect" in words and bool(started))


def _command_line(process: psutil.Process) -> list[str]:
    """The command line of a process. The kernel has none of it for a moment while the process starts."""
    end = time.monotonic() + _START_PATIENCE
    while not (words := process.cmdline()) and process.status() != psutil.STATUS_ZOMBIE and time.monotonic() < end:
        time.sleep(0.001)
    return list(words)


def _serve(services: Services, port: int, root: Path) -> None:
    if services.running("server") is not None:
        if services.port != port:
            raise UsageError(
                f"a server of {services.home} already listens on port {services.port}: run `editflow down` first"
            )
        services.wait("server", lambda: server_access.answers(server_access.api(port)))
        _check_lock(services)
        return
    try:
        listener = locked_server.listen(port)
    except OSError:
        raise UsageError(
            f"port {port} is taken by another program: choose one with --port (make up PORT=4201)"
        ) from None
    with listener:
        secret, fresh = server_access.make_secret(services.home)
        if fresh:
            services.stop("worker")  # a worker that outlived its server has the old password
        services.serve(listener, {**services.environment(port, root), **server_access.server_settings(secret, port)})
    services.wait("server", lambda: server_access.answers(server_access.api(port)))
    _write_settings(services)


def _check_lock(services: Services) -> None:
    """Raise UsageError unless a running server, perhaps of an earlier version, accepts only the home's password."""
    url, again = server_access.api(services.port), "run `editflow down`, then `editflow up`"
    if server_access.status(url) == 200:
        raise UsageError(f"the server of {services.home} runs without a password: {again}")
    if server_access.status(url, secret=server_access.read_secret(services.home)) != 200:
        raise UsageError(
            f"the server of {services.home} has another password than its file {server_access.PASSWORD}: {again}"
        )
    server_access.write_private(services.home / server_access.PASSWORD, f"{server_access.read_secret(services.home)}\n")
    _write_settings(services)


def _write_settings(services: Services) -> None:
    """Write the file that configures Prefect in a shell for this server."""
    settings = server_access.client_settings(server_access.read_secret(services.home), services.port)
    text = "".join(f"export {name}={value}\n" for name, value in settings.items())
    server_access.write_private(services.home / server_access.SETTINGS, text)


def _deploy(services: Services, deployments: Path, environment: Mapping[str, str]) -> None:
    """Register the deployments of the file; Prefect replaces existing ones."""
    words = ["--no-prompt", "deploy", "--all", "--prefect-file", str(deployments)]
    with server_access.open_log(services.log("deploy"), truncate=True) as log:
        done = subprocess.run(  # noqa: S603 - a fixed command
            [*_PREFECT, *words], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            env=dict(environment), cwd=deployments.parent, check=False,
        )  # fmt: skip
    if done.returncode:
        raise UsageError(f"{deployments} could not be deployed: see {services.log('deploy')}")


def _polls(client: SyncPrefectClient, services: Services) -> bool:
    """Whether this worker, not an earlier one of the same name, is registered with the server."""
    worker = services.running("worker")
    try:
        found = client.read_workers_for_work_pool(POOL)
    except PrefectHTTPStatusError:  # the worker has not created the pool yet
        return False
    beats = [one.last_heartbeat_time for one in found if one.name == _WORKER]
    return worker is not None and any(beat and beat.timestamp() >= worker.create_time() for beat in beats)
