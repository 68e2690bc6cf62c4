"""Prefect's server and a worker in the background: started, found again, and stopped, without touching others'.

`prefect server start --background` would write its log into a closed pipe, and `prefect server stop` ends any process
that process has the number in its file by then; so a process is begun here, with a log, and known by its start time.
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
"""No module of the folder that it runs in passes for one of Prefect's."""
_SERVERS = {Path(locked_server.__file__).parts[-2:], ("flows", "locked.py")}
"""The last parts of the server's file, now and in an earlier version."""
_BEGINNING = 10
"""Seconds that are waited for the words of a process."""
_NAMES = ("worker", "server")
_OTHERS = {"PREFECT_API_KEY", "PREFECT_API_AUTH_STRING", "PREFECT_SERVER_API_AUTH_STRING"}


@dataclass(frozen=True)
class Services:
    """The server and the worker of a folder, which holds Prefect's database and settings, process files and logs."""

    home: Path

    def start(self, name: str, port: int, words: Sequence[str], environment: Mapping[str, str]) -> None:
        """Begin `prefect WORDS` in a session of its own; its output goes to the log."""
        self._forget(name)
        with server_access.open_log(self.log(name)) as log:
            process = subprocess.Popen(  # noqa: S603 - our own words
                [*_PREFECT, *words], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=dict(environment), start_new_session=True, cwd=self.home,
            )  # fmt: skip
        self._remember(name, process, port)

    def serve(self, listener: socket.socket, environment: Mapping[str, str]) -> None:
        """Begin the locked server on a socket, likewise."""
        self._forget("server")
        with server_access.open_log(self.log("server")) as log:
            process = locked_server.begin(listener, environment, log, subprocess.DEVNULL, self.home)
        self._remember("server", process, listener.getsockname()[1])

    @property
    def addresses(self) -> list[str]:
        """Of the API of its server."""
        return [f"{origin}/api" for origin in locked_server.origins(self.port)]

    def client(self) -> SyncPrefectClient:
        """A client of its server, past all proxies."""
        secret = server_access.read_secret(self.home)
        return SyncPrefectClient(server_access.api(self.port), auth_string=secret, httpx_settings={"trust_env": False})

    def running(self, name: str) -> psutil.Process | None:
        """The process, unless it is gone, or its number is now that of a process which `up` cannot have begun."""
        known = self._known(name)
        if not known or not may_be_running(platform.node(), int(known["pid"]), known["started"]):
            return None
        with suppress(psutil.Error):  # it ended just now
            process = psutil.Process(int(known["pid"]))
            return process if _ours(process) else None
        return None

    @property
    def port(self) -> int:
        """Where the server listens, or did."""
        return int(self._known("server").get("port", 0))

    def stop(self, name: str, patience: float = 30) -> bool:
        """End the process if it is there, with all that it started, at last by force; whether it was."""
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
        """Raise UsageError where a process file is there and no regular file of the caller's."""
        for name in names:
            server_access.own_file(self._file(name))

    def log(self, name: str) -> Path:
        """The log file of a service."""
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
        """That of the worker and its flow runs; what the user has set already stays, but for the server's address."""
        ours = {
            **server_access.client_settings(server_access.read_secret(self.home), port),
            "PREFECT_HOME": str(self.home),
            "EDITFLOW_HOME": str(root),
        }
        # Other servers' passwords and keys are no business of these processes.
        given = {name: value for name, value in os.environ.items() if name not in _OTHERS}
        found = {**QUIET, "PREFECT_LOGGING_LEVEL": "INFO", **given, **ours}
        server_access.without_proxy(found)
        return found

    def _remember(self, name: str, process: subprocess.Popen[bytes], port: int) -> None:
        known = {"pid": process.pid, "started": psutil.Process(process.pid).create_time(), "port": port}
        server_access.write_private(self._file(name), json.dumps(known))

    def _forget(self, name: str) -> None:
        """Before a process is begun: one whose file cannot be written would not be found again."""
        self.check(name)
        self._file(name).unlink(missing_ok=True)

    def _file(self, name: str) -> Path:
        return self.home / f"{name}.json"

    def _known(self, name: str) -> dict[str, float]:
        """What its file says; nothing where that cannot be true, or the file is none that was written here."""
        try:
            server_access.own_file(self._file(name))
            found = json.loads(read_small(self._file(name), UsageError))
            known = {key: float(found[key]) for key in ("pid", "started", "port")}
        except (FileNotFoundError, UsageError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
            return {}
        true = 0 < known["pid"] < 2**31 and 0 <= known["started"] < 2**40 and 0 <= known["port"] < 2**16
        return known if true else {}


def up(home: Path, port: int, deployments: Path) -> Services:
    """Server, work pool, deployments and worker, those that are not there yet; raises UsageError with one line."""
    if not deployments.is_file():
        raise UsageError(f"no {deployments}: say it in the repository's folder, or give the file with --file")
    check(deployments)
    services, root = Services(server_access.private_home(home)), deployments.resolve().parent
    services.check(*_NAMES)
    _serve(services, port, root)
    environment = services.environment(port, root)
    with services.client() as client:
        mark_crashed(client)
        if services.running("worker") is None:
            words = ["worker", "start", "--pool", POOL, "--type", "process", "--name", _WORKER]
            services.start("worker", port, words, environment)  # makes the pool where there is none
        services.wait("worker", lambda: _polls(client, services))
    _deploy(services, deployments.resolve(), environment)
    return services


def down(home: Path) -> list[str]:
    """End the worker and the server of a folder, and no other process; the names of those that ran."""
    services = Services(home.resolve())
    with suppress(FileNotFoundError):
        server_access.check_owner(services.home)
    services.check(*_NAMES)
    ended = ["worker"] if services.stop("worker") else []
    if services.running("server") is not None:
        # The worker's runs, which ended with it; their next run continues. A lost password does not prevent the end.
        with suppress(UsageError, PrefectHTTPStatusError):
            if server_access.answers(server_access.api(services.port)):
                with services.client() as client:
                    mark_crashed(client)
        services.stop("server")
        ended.append("server")
    return ended


def _ours(process: psutil.Process) -> bool:
    """Whether it is the caller's, and a server or worker by its words: anybody can see numbers and start times."""
    if process.uids().effective != os.geteuid():
        return False
    words = _words(process)
    # That of another checkout or an earlier version, which began `prefect server start`, is to be found, too.
    own_server = any(Path(word).parts[-2:] in _SERVERS for word in words)
    begun = {("worker", "start"), ("server", "start")} & set(pairwise(words))
    return own_server or ("prefect" in words and bool(begun))


def _words(process: psutil.Process) -> list[str]:
    """The words that a process was begun with; while it is being begun, the kernel has none of it for a moment."""
    end = time.monotonic() + _BEGINNING
    while not (words := process.cmdline()) and process.status() != psutil.STATUS_ZOMBIE and time.monotonic() < end:
        time.sleep(0.001)
    return list(words)


def _serve(services: Services, port: int, root: Path) -> None:
    if services.running("server") is not None:
        if services.port != port:
            raise UsageError(
                f"a server of {services.home} listens on port {services.port} already: run `editflow down` first"
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
            services.stop("worker")  # one that outlived its server knows the old password
        services.serve(listener, {**services.environment(port, root), **server_access.server_settings(secret, port)})
    services.wait("server", lambda: server_access.answers(server_access.api(port)))
    _write_settings(services)


def _check_lock(services: Services) -> None:
    """A server that runs already, perhaps of an earlier version, must take the home's password and nothing else."""
    url, again = server_access.api(services.port), "run `editflow down`, then `editflow up`"
    if server_access.status(url) == 200:
        raise UsageError(f"the server of {services.home} runs without a password: {again}")
    if server_access.status(url, secret=server_access.read_secret(services.home)) != 200:
        raise UsageError(
            f"the server of {services.home} has another password than {server_access.PASSWORD} there: {again}"
        )
    server_access.write_private(services.home / server_access.PASSWORD, f"{server_access.read_secret(services.home)}\n")
    _write_settings(services)


def _write_settings(services: Services) -> None:
    """The file that sets a shell's Prefect to the server."""
    settings = server_access.client_settings(server_access.read_secret(services.home), services.port)
    text = "".join(f"export {name}={value}\n" for name, value in settings.items())
    server_access.write_private(services.home / server_access.SETTINGS, text)


def _deploy(services: Services, deployments: Path, environment: Mapping[str, str]) -> None:
    """Register what the file has; Prefect replaces what is registered already."""
    words = ["--no-prompt", "deploy", "--all", "--prefect-file", str(deployments)]
    with server_access.open_log(services.log("deploy"), truncate=True) as log:
        done = subprocess.run(  # noqa: S603 - our own words
            [*_PREFECT, *words], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            env=dict(environment), cwd=deployments.parent, check=False,
        )  # fmt: skip
    if done.returncode:
        raise UsageError(f"{deployments} could not be deployed: {services.log('deploy')} says why")


def _polls(client: SyncPrefectClient, services: Services) -> bool:
    """Whether our worker, and no earlier one of its name, is registered with the server."""
    worker = services.running("worker")
    try:
        found = client.read_workers_for_work_pool(POOL)
    except PrefectHTTPStatusError:  # the worker has not made the pool yet
        return False
    beats = [one.last_heartbeat_time for one in found if one.name == _WORKER]
    return worker is not None and any(beat and beat.timestamp() >= worker.create_time() for beat in beats)
