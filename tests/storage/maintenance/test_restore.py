"""Manifests and run records are restored from index rows that can be verified, and from no others."""

# ruff: noqa: S608 - the SQL is built from constants of this test

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet
from support.damage import halve

from editflow.storage.artifacts.check import check_artifact
from editflow.storage.artifacts.manifest import manifest_name
from editflow.storage.artifacts.store import Lake
from editflow.storage.errors import DamagedPayload
from editflow.storage.index.catalog import Catalog
from editflow.storage.maintenance.restore import manifest_from_index, restore_manifest, restore_record
from editflow.storage.queries.query import query
from editflow.storage.records.runs import Runs, Use


def manifest(lake: Lake, id_: str) -> Path:
    return Path(lake.files.path(manifest_name(id_)))


@pytest.mark.parametrize("log", ["whole", "gone"])
def test_a_manifest_is_restored_byte_by_byte(lake: Lake, edited: dict[str, str], log: str) -> None:
    whole = {name: manifest(lake, edited[name]).read_bytes() for name in ("model", "values1", "state2")}
    for name in whole:
        halve(manifest(lake, edited[name]))
    if log == "gone":
        next(Path(lake.files.path("catalog/artifacts/_delta_log")).glob("*.json")).unlink()
    for name, text in whole.items():
        assert restore_manifest(lake, edited[name])
        assert json.loads(manifest(lake, edited[name]).read_bytes()) == json.loads(text)
        assert manifest(lake, edited[name]).read_bytes() == text
        assert check_artifact(lake, edited[name])[1] is None
        assert len(list(manifest(lake, edited[name]).parent.glob("manifest.json.discarded-*"))) == 1


def test_a_list_of_one_parent_is_distinguished_from_a_single_parent(lake: Lake, table: Callable[..., pa.Table]) -> None:
    model = lake.write("model", 1, {}, {}, table("model")).id
    for parents in ({"a": model, "b": [model]}, {"a": [model], "b": model}, {"a": [model, model], "b": model}):
        made = lake.write("state", 1, {}, parents, table("state"))
        Catalog(lake).record_artifact(lake.manifest(made.id))
        found = manifest_from_index(lake, made.id)
        assert found is not None
        assert found.parents == parents


def test_unverifiable_rows_and_payloads_are_not_used(lake: Lake, edited: dict[str, str]) -> None:
    """A payload of other content, a row with another recipe, and an artifact without a row."""
    payload = Path(lake.files.path(lake.manifest(edited["values0"]).payload))
    before = payload.read_bytes()
    halve(manifest(lake, edited["values0"]))
    payload.write_bytes(before[:-9])
    assert manifest_from_index(lake, edited["values0"]) is not None
    assert not restore_manifest(lake, edited["values0"])
    payload.write_bytes(before)
    for path in Path(lake.files.path("catalog/artifacts")).glob("*.parquet"):
        rows = parquet.read_table(path)
        wrong = pa.array(['{"name": "other"}'] * rows.num_rows)
        parquet.write_table(rows.set_column(rows.schema.get_field_index("spec"), "spec", wrong), path)
    assert manifest_from_index(lake, edited["values0"]) is None
    assert not restore_manifest(lake, edited["values0"])
    assert manifest_from_index(lake, "0" * 64) is None
    with pytest.raises(DamagedPayload):
        lake.manifest(edited["values0"])


@pytest.mark.parametrize("parts", [["started"], ["finished"], ["started", "finished"]])
@pytest.mark.parametrize("gone", [True, False])
def test_a_run_record_is_restored(lake: Lake, edited: dict[str, str], parts: list[str], gone: bool) -> None:
    runs, folder = Runs(lake.files), Path(lake.files.path(f"runs/{edited['run']}"))
    before = runs.get(edited["run"])
    for part in parts:
        halve(folder / f"{part}.json")
        if gone:
            (folder / f"{part}.json").unlink()
    assert restore_record(lake, edited["run"])
    after = runs.get(edited["run"])
    assert {use.artifact: use for use in after.uses} == {use.artifact: use for use in before.uses}
    unknown = {"uses": (), "process_started": 0.0}
    assert vars(after) | unknown == vars(before) | unknown
    assert len(list(folder.glob("*.discarded-*"))) == (0 if gone else len(parts))


def test_a_run_whose_end_is_not_indexed_cannot_be_restored(lake: Lake, edited: dict[str, str]) -> None:
    """The control: the damaged file is unchanged."""
    runs = Runs(lake.files)
    record = runs.start("late", {})
    Catalog(lake).record_run(record)
    runs.finish(record, "completed")
    end = Path(lake.files.path(f"runs/{record.run_id}/finished.json"))
    halve(end)
    left = end.read_bytes()
    assert not restore_record(lake, record.run_id)
    assert end.read_bytes() == left
    assert not restore_record(lake, "nobody")


def test_a_rebuild_keeps_uses_of_a_crashed_run_although_a_log_file_is_gone(lake: Lake, edited: dict[str, str]) -> None:
    """Only the index has them; its data files are read without the log."""
    catalog, record = Catalog(lake), Runs(lake.files).start("cut off", {})
    for name in ("model", "requests"):
        catalog.record_many(uses=[(record.run_id, Use(edited[name], name, "reused"))])
    Path(lake.files.path("catalog/uses/_delta_log/00000000000000000001.json")).unlink()
    catalog.rebuild()
    rows = query(lake, f"SELECT artifact FROM uses WHERE run_id = '{record.run_id}'").to_pylist()
    found = {row["artifact"] for row in rows}
    assert found == {edited["model"], edited["requests"]}
