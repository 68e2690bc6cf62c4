"""The path of a lake is literal: no part of it is a glob pattern, a Hive column or an encoded name.

Every lake has a sibling with other artifacts, which its path would match if it were a pattern or decoded.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from editflow.storage.artifacts.store import Lake
from editflow.storage.errors import LakeNotWritable
from editflow.storage.index import index_reader
from editflow.storage.index.catalog import Catalog
from editflow.storage.maintenance.index_audit import index_faults
from editflow.storage.queries.query import find_values, impact, lineage, query

pytestmark = pytest.mark.exhaustive

NAMES = {
    "t[1]": "t1", "[a-z]": "q", "a*b": "aXb", "a?b": "aYb", "{a,b}": "a", "layer=7": "7", "kind=model": "model",
    "100%": "100", "it's": "its", "$HOME": "home", "[*]": "*?",
}  # fmt: skip
"""{name: name of the sibling}."""
REFUSED = ("per%41cent", "100%25", "a\\b", "a\nb", "a\tb", "\x7f", "a\rb", "\x1b[31m")


@pytest.mark.parametrize(("name", "other"), NAMES.items(), ids=[repr(name) for name in NAMES])
def test_only_the_lake_of_that_name_is_read(
    name: str, other: str, lake: Lake, edited: dict[str, str], tmp_path: Path, table: Callable[..., pa.Table]
) -> None:
    place, beside = tmp_path / "lakes" / name / "lake", tmp_path / "lakes" / other / "lake"
    for folder in (place, beside):
        shutil.copytree(lake.files.root, folder)
    Lake.open(beside).write("requests", 1, {"of": "another"}, {}, table("requests", 9))
    found = Lake.open(place, create=False)
    for view in ("artifacts", "uses", "requests", "evaluations"):
        sql = f"SELECT * FROM {view} ORDER BY ALL"  # noqa: S608 - a view's name
        assert query(found, sql) == query(lake, sql), view
    assert find_values(found, {"requests": "subject"}, "subject") == find_values(
        lake, {"requests": "subject"}, "subject"
    )
    assert lineage(found, edited["state2"]) == lineage(lake, edited["state2"])
    assert impact(found, [edited["model"]]) == impact(lake, [edited["model"]])
    assert not list(index_faults(found))
    assert not Catalog(found).missing()


@pytest.mark.parametrize("name", ["t[1]", "layer=7"])
def test_only_the_lake_of_that_name_is_read_if_it_is_large(
    name: str, lake: Lake, edited: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files of a large index are read in place, and a snapshot is stored beside them."""
    monkeypatch.setattr(index_reader, "LARGE_INDEX_BYTES", 0)
    assert edited
    for folder in (tmp_path / name, tmp_path / "t1"):
        shutil.copytree(lake.files.root, folder)
    found = Lake.open(tmp_path / name, create=False)
    for _ in range(2):
        rows = query(found, "SELECT id, kind FROM artifacts ORDER BY id")
        assert rows == query(lake, "SELECT id, kind FROM artifacts ORDER BY id")
    assert found.files.list("catalog/snapshot")


@pytest.mark.parametrize("name", REFUSED, ids=map(repr, REFUSED))
def test_a_path_that_delta_would_misread_is_refused(name: str, tmp_path: Path) -> None:
    for create in (True, False):
        with pytest.raises(LakeNotWritable, match=r"^lake [^\n]*folder[^\n]*$"):
            Lake.open(tmp_path / name / "lake", create=create)
    assert not list(tmp_path.iterdir())
