"""What all tests share: quiet libraries, one thread for tiny models, and a Prefect server for whole runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from unittest.mock import patch

os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with the real model take minutes and come first, so that workers which share files end together."""
    slow = {item.path for item in items if item.get_closest_marker("real_model")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(autouse=True)
def one_thread(request: pytest.FixtureRequest) -> Iterator[None]:
    """Tiny matrices on many threads spend their time waiting; tests of the real model keep all of them."""
    if "storage" in request.path.parts or request.node.get_closest_marker("real_model"):
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The API of a temporary Prefect server, which ends with this process; runs in this process use it by themselves.

    It has a password, as those of runs. Variables of this process say nothing of it.
    """
    from prefect.settings import PREFECT_API_URL

    from editflow.flows.orchestration import temporary_server as temporary

    folder = tmp_path_factory.mktemp("server")
    database = {"PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{folder / 'tests.db'}"}
    with patch.dict(os.environ, database):
        temporary.begin(folder)
    return str(PREFECT_API_URL.value())


@pytest.fixture(scope="session")
def secret(server: str) -> str:
    """The password of the session's server."""
    from prefect.settings import PREFECT_API_AUTH_STRING

    del server
    return str(PREFECT_API_AUTH_STRING.value())


@pytest.fixture(scope="session")
def environment(server: str, secret: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a run in another process: this session's server, and a Prefect home of its own."""
    home = tmp_path_factory.mktemp("prefect-home")
    return {**os.environ, "PREFECT_API_URL": server, "PREFECT_API_AUTH_STRING": secret, "PREFECT_HOME": str(home)}
