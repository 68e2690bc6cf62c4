"""The tiny world for stages without Prefect."""

from __future__ import annotations

import pytest
from support import tiny_world
from support.tiny_world import World

from editflow.tasks.models.model_identity import open_model


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Model, corpus, requests and spec."""
    return tiny_world.make(tmp_path_factory.mktemp("world"))


@pytest.fixture(autouse=True)
def new_process() -> None:
    """No test finds a model that an earlier one loaded."""
    open_model.cache_clear()
