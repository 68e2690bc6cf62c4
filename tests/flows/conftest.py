"""A tiny world for whole runs, and one finished run to read from or copy."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import tiny_world
from tiny_world import World

from tasks.models import open_model


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Model, corpus, requests and spec; tests change copies, never these files."""
    return tiny_world.make(tmp_path_factory.mktemp("world"))


@dataclass(frozen=True)
class Finished:
    """A lake with one finished run."""

    lake: Path
    record: dict[str, Any]


@pytest.fixture(scope="session")
def reference(world: World, server: str, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """One uninterrupted run of the tiny spec. Read only: tests that change a lake take `copied`."""
    del server
    open_model.cache_clear()
    lake = tmp_path_factory.mktemp("reference") / "lake"
    return Finished(lake, tiny_world.run(world.spec, lake))


@pytest.fixture
def copied(reference: Finished, tmp_path: Path) -> Path:
    """A copy of the finished lake, to be changed."""
    return Path(shutil.copytree(reference.lake, tmp_path / "copy"))


@pytest.fixture(autouse=True)
def new_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test finds a model that an earlier one loaded; tables are wide enough to be searched for texts."""
    open_model.cache_clear()
    monkeypatch.setenv("COLUMNS", "250")


@pytest.fixture
def use_of() -> Callable[[dict[str, Any]], dict[str, str]]:
    """`use_of(record)`: {stage's label: created or reused}."""
    return lambda record: {use["stage"]: use["how"] for use in record["uses"]}
