"""Simulates in this process a crash at a chosen write: all later writes fail too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from editflow.storage.artifacts.store import Lake
from editflow.storage.errors import DiskFull
from editflow.storage.files import Files
from editflow.storage.index.catalog import Catalog

WRITES = ("create", "put", "write_parquet", "move", "remove", "set_aside")
DEAD = 2**22 + 1
"""Above the largest process id of Linux, 2**22."""


class Killed(BaseException):
    """A simulated kill; a BaseException, so that nothing catches it."""


class Full(DiskFull):
    """A simulated full disk."""


class Death:
    """Counts writes; from the `at`-th on, all raise `how`."""

    def __init__(self, at: int, how: type[BaseException] = Killed) -> None:
        self.at, self.how, self.count = at, how, 0

    @property
    def over(self) -> bool:
        return self.count >= self.at

    def write(self) -> None:
        self.count += 1
        if self.over:
            raise self.how("no more")


@contextmanager
def dying(death: Death) -> Iterator[None]:
    """Apply a simulated crash to the writes inside the block."""
    with pytest.MonkeyPatch.context() as patch:
        for name in WRITES:
            patch.setattr(Files, name, _counting(getattr(Files, name), death))
        patch.setattr(Catalog, "_create", _counting(Catalog._create, death))
        yield


def _counting(inner: Any, death: Death) -> Any:
    def write(self: Any, *args: Any, **more: Any) -> Any:
        death.write()
        return inner(self, *args, **more)

    return write


def bury(lake: Lake) -> None:
    """Make every run without an end look crashed, by a process id that does not exist."""
    for started in Path(lake.files.root).glob("runs/*/started.json"):
        if not started.with_name("finished.json").exists():
            started.write_text(json.dumps(json.loads(started.read_text()) | {"pid": DEAD, "process_started": 1.0}))
