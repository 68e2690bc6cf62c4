"""Every registered kind can be stored, read and digested; tables with wrong columns are refused."""

from collections.abc import Callable

import pyarrow as pa
import pytest

from editflow.storage.artifacts.identity import table_digest
from editflow.storage.artifacts.kinds import Kind, kind, kinds, register
from editflow.storage.artifacts.store import Lake
from editflow.storage.errors import UnknownKind, WrongSchema


@pytest.mark.parametrize("name", [k.name for k in kinds()])
def test_every_kind_survives_the_lake(name: str, lake: Lake, table: Callable[..., pa.Table]) -> None:
    stored = table(name, 3)
    ref = lake.write(name, 1, {}, {}, stored)
    back = lake.read(ref.id)
    assert back.equals(stored)
    assert back.schema.equals(kind(name).schema)
    assert table_digest(back) == ref.digest
    empty = lake.write(name, 1, {"empty": True}, {}, kind(name).schema.empty_table())
    assert lake.read(empty.id).num_rows == 0 == empty.rows


def test_the_error_for_an_unknown_kind_suggests_the_nearest() -> None:
    with pytest.raises(UnknownKind, match="did you mean 'spectrum'"):
        kind("specrum")


def test_a_kind_can_only_be_registered_once() -> None:
    with pytest.raises(ValueError, match="registered"):
        register(Kind("state", pa.schema([]), "again"))


def test_a_table_must_have_exactly_the_columns(table: Callable[..., pa.Table]) -> None:
    good = table("tokens")
    kind("tokens").check(good)
    wrong = [
        (good.select(["ids", "document"]), "expected column document"),
        (good.drop_columns(["ids"]), "expected columns"),
        (good.append_column("more", pa.array([1, 2])), "expected columns"),
        (good.set_column(1, "ids", pa.array([[1], [2]], pa.list_(pa.int64()))), "ids list<.*int32>"),
    ]
    for bad, message in wrong:
        with pytest.raises(WrongSchema, match=message):
            kind("tokens").check(bad)
