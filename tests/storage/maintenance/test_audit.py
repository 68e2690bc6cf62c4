"""Every kind of damage is reported with its file; a valid lake has no faults."""

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from pyarrow import parquet
from support.damage import flip_bit, halve, remove

from editflow.storage.artifacts.check import ENCODING_DIFFERS, Fault, check_artifact, upstream
from editflow.storage.artifacts.identity import table_digest
from editflow.storage.artifacts.manifest import manifest_name
from editflow.storage.artifacts.payload_check import reencode_if_corrupt
from editflow.storage.artifacts.store import Lake
from editflow.storage.index.catalog import Catalog
from editflow.storage.index.rows import SCHEMAS
from editflow.storage.maintenance.audit import Audit
from editflow.storage.maintenance.index_audit import index_faults
from editflow.storage.maintenance.restore import write_manifest
from editflow.storage.records.refs import Refs
from editflow.storage.records.runs import Runs, Use

Damage = Callable[[Lake, dict[str, str]], Path]


@pytest.fixture
def edited(edited: dict[str, str], lake: Lake) -> dict[str, str]:
    """The edited lake with a name that was set twice."""
    for n, state in enumerate(("state1", "state2")):
        Refs(lake.files).set("demo", edited[state], n)
    return edited


def all_faults(lake: Lake) -> list[Fault]:
    audit = Audit(lake)
    found = [*audit.check_artifacts(filter(lake.is_committed, lake.ids()), lambda _: None)]
    found += audit.check_runs(lake.files.list("runs"), lambda _: None)
    return [*found, *audit.check_names(), *audit.check_foreign_files(), *index_faults(lake)]


def test_a_valid_lake_has_no_faults(lake: Lake, edited: dict[str, str]) -> None:
    """The control for all damage below."""
    assert all_faults(lake) == []
    audit = Audit(lake)
    assert list(audit.check_artifacts(lake.ids(), lambda _: None)) == []
    assert (audit.artifacts, audit.bytes) == (12, sum(m.bytes for m in lake.manifests()))
    assert all_faults(Lake.open(Path(lake.uri).parent / "empty")) == []


def manifest(lake: Lake, ids: dict[str, str], name: str = "values0") -> Path:
    return Path(lake.files.path(manifest_name(ids[name])))


def payload(lake: Lake, ids: dict[str, str]) -> Path:
    return Path(lake.files.path(lake.manifest(ids["evaluation"]).payload))


def rewrite(path: Path, **changes: object) -> Path:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return path


def log(lake: Lake, table: str, number: int) -> Path:
    return sorted(Path(lake.files.path(f"catalog/{table}/_delta_log")).glob("*.json"))[number]


def rows(lake: Lake, table: str) -> Path:
    return Path(DeltaTable(lake.files.path(f"catalog/{table}")).file_uris()[0])


def run(lake: Lake, part: str) -> Path:
    return next(Path(lake.files.path("runs")).glob(f"*/{part}.json"))


def ref(lake: Lake, number: int) -> Path:
    return Path(lake.files.path(f"refs/demo/{number:08d}.json"))


DAMAGE: dict[str, tuple[Damage, str, str]] = {
    "payload, a bit flipped": (lambda lake, ids: flip_bit(payload(lake, ids)), "artifact", "damaged payload"),
    "payload cut in half": (lambda lake, ids: halve(payload(lake, ids)), "artifact", "damaged payload"),
    "payload gone": (lambda lake, ids: remove(payload(lake, ids)), "artifact", "lost its payload"),
    "manifest cut in half": (lambda lake, ids: halve(manifest(lake, ids)), "artifact", "damaged manifest"),
    "manifest of other settings": (
        lambda lake, ids: rewrite(manifest(lake, ids), spec={"name": "other"}),
        *("artifact", "another recipe"),
    ),
    "manifest of another id": (
        lambda lake, ids: rewrite(manifest(lake, ids), id=ids["model"]),
        *("artifact", "another recipe"),
    ),
    "manifest gone": (lambda lake, ids: remove(manifest(lake, ids)), "artifact", "is gone, but"),
    "record cut in half": (lambda lake, _: halve(run(lake, "finished")), "record", "is damaged"),
    "start of a record gone": (lambda lake, _: remove(run(lake, "started")), "record", "is gone"),
    "name damaged": (lambda lake, _: halve(ref(lake, 2)), "hand", "is damaged"),
    "name with a gap": (lambda lake, _: remove(ref(lake, 1)), "hand", "later versions"),
    "first of a log gone": (lambda lake, _: remove(log(lake, "artifacts", 0)), "index", "is gone"),
    "middle of a log gone": (lambda lake, _: remove(log(lake, "runs", 1)), "index", "is gone"),
    "log cut in half": (lambda lake, _: halve(log(lake, "uses", -1)), "index", "is damaged"),
    "rows gone": (lambda lake, _: remove(rows(lake, "uses")), "index", "is gone"),
    "rows cut in half": (lambda lake, _: halve(rows(lake, "artifacts")), "index", "is damaged"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_reported_with_its_file(lake: Lake, edited: dict[str, str], name: str) -> None:
    damage, repair, wrong = DAMAGE[name]
    broken = damage(lake, edited)
    before = tree(Path(lake.uri))
    named = [fault for fault in all_faults(lake) if broken.is_relative_to(lake.files.path(fault.file))]
    assert [(fault.repair, wrong in fault.wrong) for fault in named] == [(repair, True)]
    assert bool(named[0].remedy) == (repair == "hand")
    assert tree(Path(lake.uri)) == before, "nothing is changed"


def test_every_flipped_bit_of_a_payload_is_detected(lake: Lake, edited: dict[str, str]) -> None:
    """Also a bit of Parquet metadata, such as the column statistics by which SQL skips rows."""
    made, path = lake.manifest(edited["evaluation"]), payload(lake, edited)
    whole, wrong = path.read_bytes(), Counter[str]()
    for place in range(0, len(whole), 5):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ (1 << place % 8)]) + whole[place + 1 :])
        _, fault = check_artifact(lake, made.id)
        wrong[fault.wrong[:20] if fault else ""] += 1
    assert set(wrong) == {"has a damaged payloa", ENCODING_DIFFERS[:20]}
    path.write_bytes(whole)
    assert check_artifact(lake, made.id) == (made, None), "the control"


def test_a_differently_encoded_payload_is_reencoded(lake: Lake, edited: dict[str, str]) -> None:
    made, path = lake.manifest(edited["evaluation"]), payload(lake, edited)
    whole = path.read_bytes()
    parquet.write_table(parquet.read_table(path), path, compression="none")
    _, fault = check_artifact(lake, made.id)
    assert fault is not None
    assert fault.wrong == ENCODING_DIFFERS
    assert not reencode_if_corrupt(lake.files, made, write=True)
    assert path.read_bytes() == whole
    assert check_artifact(lake, made.id) == (made, None)
    halve(path.parent / "manifest.json")
    parquet.write_table(parquet.read_table(path), path, compression="none")
    assert write_manifest(lake, made), "the manifest is written for the re-encoded payload"
    assert path.read_bytes() == whole
    assert lake.manifest(made.id) == made


def test_a_payload_with_columns_of_the_wrong_type(lake: Lake, edited: dict[str, str]) -> None:
    """A lake from elsewhere may have a digest that fits any content."""
    made, path = lake.manifest(edited["evaluation"]), payload(lake, edited)
    table = parquet.read_table(path)
    number = next(n for n, column in enumerate(table.schema) if pa.types.is_integer(column.type))
    other = table.set_column(number, table.schema.names[number], pa.array(["x"] * len(table)))
    rewrite(path.parent / "manifest.json", digest=table_digest(other))
    path = Path(lake.files.path(lake.manifest(made.id).payload))
    parquet.write_table(other, path)
    _, fault = check_artifact(lake, made.id)
    assert fault is not None
    assert fault.wrong == ENCODING_DIFFERS
    assert not reencode_if_corrupt(lake.files, lake.manifest(made.id), write=True)
    assert parquet.read_table(path).equals(other), "a payload that cannot be repaired is not rewritten"


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("name", "wrong"), [("artifacts", "missing artifacts"), ("uses", "missing uses"), ("runs", "missing the end")]
)
def test_a_lost_last_file_of_a_log_is_found_by_its_missing_rows(
    lake: Lake, edited: dict[str, str], name: str, wrong: str
) -> None:
    """The log itself has no gap; only its rows are missing."""
    remove(log(lake, name, -1))
    assert wrong in " ".join(fault.wrong for fault in index_faults(lake) if fault.what == f"index of {name}")


def test_a_log_with_a_checkpoint_may_lack_earlier_files(lake: Lake, edited: dict[str, str]) -> None:
    """A control: files before the checkpoint are not needed."""
    table = DeltaTable(lake.files.path("catalog/runs"))
    table.create_checkpoint()
    remove(log(lake, "runs", 0))
    remove(log(lake, "runs", 0))
    assert all_faults(lake) == []


def test_index_rows_without_an_artifact_or_run_are_reported(lake: Lake, edited: dict[str, str]) -> None:
    shutil.rmtree(manifest(lake, edited, "perplexity").parent)
    shutil.rmtree(Path(lake.files.path(f"runs/{edited['run']}")))
    found = [fault.wrong for fault in index_faults(lake)]
    assert found == [
        f"has artifacts that are not in the lake: {edited['perplexity'][:12]}",
        f"has runs that are not in the lake: {edited['run']}",
    ]


def test_index_rows_that_contradict_a_manifest_are_reported(lake: Lake, edited: dict[str, str]) -> None:
    path = rows(lake, "artifacts")
    table = parquet.read_table(path)
    wrong = pa.array([edited["model"] if id_ == edited["state1"] else d for id_, d in
                      zip(table["id"].to_pylist(), table["digest"].to_pylist(), strict=True)])  # fmt: skip
    parquet.write_table(table.set_column(table.schema.get_field_index("digest"), "digest", wrong), path)
    (fault,) = index_faults(lake)
    assert "manifest" in fault.wrong
    assert edited["state1"][:12] in fault.wrong


def test_unindexed_artifacts_of_a_running_run_are_no_fault(
    lake: Lake, edited: dict[str, str], table: Callable[..., pa.Table]
) -> None:
    record = Runs(lake.files).start("busy", {})
    lake.write("spectrum", 1, {}, {"model": edited["model"]}, table("spectrum"), created_by=record.run_id)
    assert all_faults(lake) == []
    Runs(lake.files).finish(record, "failed")
    assert len(all_faults(lake)) == 2, "the control: no process will index them any more"


def test_uses_of_a_crashed_run_are_no_fault(lake: Lake, edited: dict[str, str]) -> None:
    """Only the index has them, before and after the run's end is recorded."""
    runs, catalog = Runs(lake.files), Catalog(lake)
    record = runs.start("dead", {})
    catalog.record_run(record)
    catalog.record_many(uses=[(record.run_id, Use(edited["model"], "model", "reused"))])
    assert all_faults(lake) == []
    catalog.record_run(runs.finish(record, "died"))
    assert all_faults(lake) == []
    other = runs.start("done", {})
    catalog.record_many(uses=[(other.run_id, Use(edited["model"], "model", "reused"))])
    catalog.record_run(runs.finish(other, "completed"))
    (fault,) = all_faults(lake)
    assert fault.wrong == f"has uses that are not in the records: {other.run_id}", "the control"


def test_a_lost_index_is_one_fault_per_table(lake: Lake, edited: dict[str, str]) -> None:
    shutil.rmtree(lake.files.path("catalog"))
    found = {fault.what: fault.wrong for fault in index_faults(lake)}
    assert set(found) == {f"index of {table}" for table in SCHEMAS}
    assert found["index of artifacts"].endswith("and 9 more")
    Catalog(lake).rebuild()
    assert all_faults(lake) == []


def test_rebuilding_the_index_skips_only_the_damaged_manifest(lake: Lake, edited: dict[str, str]) -> None:
    halve(manifest(lake, edited))
    Catalog(lake).rebuild()
    assert [fault.id for fault in all_faults(lake)] == [edited["values0"]]


def test_upstream_skips_parents_behind_a_lost_manifest(lake: Lake, edited: dict[str, str]) -> None:
    names = {id_: name for name, id_ in edited.items()}
    assert {names[id_] for id_ in upstream(lake, edited["state1"])} == {
        "state1", "state0", "values0", "requests", "model",
    }  # fmt: skip
    remove(manifest(lake, edited))
    assert {names[id_] for id_ in upstream(lake, edited["state1"])} == {"state1", "state0", "values0", "model"}


def test_an_artifact_folder_with_an_invalid_name_is_reported(lake: Lake, edited: dict[str, str]) -> None:
    odd = Path(lake.files.path("artifacts/od/odd"))
    odd.mkdir(parents=True)
    assert all_faults(lake) == [], "a folder without a manifest was never committed"
    (odd / "manifest.json").write_text("{}")
    (fault,) = (fault for fault in all_faults(lake) if "odd" in fault.file)
    assert fault.repair == "hand"
