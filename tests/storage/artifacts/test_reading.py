"""Reading an artifact: only the rows of one layer, and one check of every byte while its file is unchanged."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pyarrow import parquet

from editflow.storage import files
from editflow.storage.artifacts import codec
from editflow.storage.artifacts.imported import ImportedTable
from editflow.storage.artifacts.store import Lake
from editflow.storage.errors import DamagedPayload


@pytest.fixture
def moments(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> str:
    """An artifact of three layers in several row groups."""
    monkeypatch.setattr(files, "ROW_GROUP_BYTES", 500)
    parts = [(layer, name, np.full((side, side), layer + 0.5)) for layer in (2, 3, 5)
             for name, side in (("sum", 16), ("count", 1))]  # fmt: skip
    return lake.write("second_moment", 1, {}, {}, codec.packed_rows(parts)).id


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The row groups that are decoded."""
    seen: list[int] = []
    original = parquet.ParquetFile.read_row_groups

    def read(self: parquet.ParquetFile, groups: list[int], *arguments: object, **named: object) -> pa.Table:
        seen.extend(groups)
        return original(self, groups, *arguments, **named)

    monkeypatch.setattr(parquet.ParquetFile, "read_row_groups", read)
    yield seen


def test_reading_one_layer_gives_only_its_rows(lake: Lake, moments: str, decoded: list[int]) -> None:
    whole = lake.read(moments)
    groups = parquet.ParquetFile(lake.files.path(lake.manifest(moments).payload)).num_row_groups
    assert groups > 3, "the control: there are row groups to skip"
    for layer in (2, 3, 5):
        decoded.clear()
        assert lake.read(moments, layer=layer).equals(whole.filter(pc.equal(whole["layer"], layer)))
        assert 0 < len(decoded) < groups
    assert len(lake.read(moments, layer=4)) == 0


def test_an_unchanged_file_is_checked_once(
    lake: Lake, table: Callable[..., pa.Table], monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = ImportedTable("contexts", table("contexts")).store(lake).id
    checks: list[str] = []
    original = Lake.content_fault
    monkeypatch.setattr(Lake, "content_fault", lambda self, made: checks.append(made.id) or original(self, made))
    for _ in range(3):
        lake.read(stored)
    assert checks == [stored]
    lake.fault(stored)
    assert checks == [stored] * 2, "an audit reads every byte each time"
    payload = Path(lake.files.path(lake.manifest(stored).payload))
    os.utime(payload, ns=(1, 1))
    lake.read(stored)
    assert checks == [stored] * 3, "a changed time causes another check"


def test_a_change_after_the_check_is_detected(lake: Lake, table: Callable[..., pa.Table]) -> None:
    stored = ImportedTable("contexts", table("contexts")).store(lake).id
    lake.read(stored)
    payload = Path(lake.files.path(lake.manifest(stored).payload))
    data = bytearray(payload.read_bytes())
    data[8:48] = bytes(40)
    payload.write_bytes(data)
    with pytest.raises(DamagedPayload):
        lake.read(stored)
