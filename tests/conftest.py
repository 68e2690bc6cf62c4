"""Settings and fixtures of all tests: quiet libraries, one thread for tiny models, a Prefect server for whole runs."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest

MARKED_BY_FIXTURE = ("server", "browser")
"""A test that uses one of these fixtures, directly or indirectly, gets the marker of the same name."""
LONGEST_FIRST = ("real_model", "exhaustive", "server", "slow")


def pytest_configure() -> None:
    """Restore SIGINT, which a shell ignores in background jobs: otherwise no test could be interrupted."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """Mark tests by the fixtures they need, and run the slowest files first, so that parallel workers end together."""
    for item in items:
        for fixture in set(MARKED_BY_FIXTURE).intersection(getattr(item, "fixturenames", ())):
            item.add_marker(fixture)
    yield  # pytest selects tests by their markers here
    ranks: dict[Path, int] = {}
    for item in items:
        rank = next((n for n, mark in enumerate(LONGEST_FIRST) if item.get_closest_marker(mark)), len(LONGEST_FIRST))
        ranks[item.path] = min(rank, ranks.get(item.path, rank))
    items.sort(key=lambda item: ranks[item.path])


@pytest.fixture(autouse=True)
def one_thread(request: pytest.FixtureRequest) -> Iterator[None]:
    """Use one thread for tiny matrices, which are slower on many; tests of the real model keep all threads."""
    if "storage" in request.path.parts or request.node.get_closest_marker("real_model"):
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The API URL of a temporary Prefect server that ends with this process. Flow runs in this process use it.

    It has a password, like the servers of runs. It is not in this process's environment.
    """
    from prefect.flow_engine import BaseFlowRunEngine
    from prefect.settings import PREFECT_API_URL

    from editflow.flows.orchestration import temporary_server as temporary

    folder = tmp_path_factory.mktemp("server")
    database = {"PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{folder / 'tests.db'}"}
    with patch.dict(os.environ, database):
        temporary.begin(folder)
    # A flow run that ends waits up to a second for its heartbeat thread; no test needs heartbeats of this process.
    with patch.object(BaseFlowRunEngine, "heartbeat_seconds", None):
        yield str(PREFECT_API_URL.value())


@pytest.fixture(scope="session")
def secret(server: str) -> str:
    """The password of the session's server."""
    from prefect.settings import PREFECT_API_AUTH_STRING

    del server
    return str(PREFECT_API_AUTH_STRING.value())


@pytest.fixture(scope="session")
def environment(server: str, secret: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a run in another process: this session's server and a separate Prefect home."""
    home = tmp_path_factory.mktemp("prefect-home")
    return {**os.environ, "PREFECT_API_URL": server, "PREFECT_API_AUTH_STRING": secret, "PREFECT_HOME": str(home)}
