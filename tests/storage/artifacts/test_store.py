"""Artifacts are written once and atomically, and never silently replaced."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from subprocess import Popen

import pyarrow as pa
import pytest
from pyarrow import parquet

from editflow.storage.artifacts.identity import recipe_id, table_digest
from editflow.storage.artifacts.store import ArtifactRef, Lake
from editflow.storage.errors import DamagedPayload, LakeNotWritable, MissingPayload, PayloadConflict, UnknownArtifact

Make = Callable[..., pa.Table]
Script = Callable[..., "Popen[str]"]

# Dies by SIGKILL when a file whose name ends with the second argument is about to get that name.
KILLED = """
import os, signal, sys
import pyarrow as pa
from editflow.storage.artifacts.kinds import kind
from editflow.storage.artifacts.store import Lake

def deadly(publish):
    def publish_or_die(source, target):
        if target.endswith(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
        publish(source, target)
    return publish_or_die

os.link, os.replace = deadly(os.link), deadly(os.replace)
table = pa.table({"i": [0, 1], "template": ["{}", "x {}"]}, schema=kind("contexts").schema)
print(Lake.open(sys.argv[1]).write("contexts", 1, {}, {}, table).id)
"""

RACER = """
import sys
import pyarrow as pa
from editflow.storage.errors import PayloadConflict
from editflow.storage.artifacts.kinds import kind
from editflow.storage.artifacts.store import Lake

lake = Lake.open(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for n in range(15):
    value = "same" if n % 2 else sys.argv[2]
    table = pa.table({"i": [n], "template": [value]}, schema=kind("contexts").schema)
    try:
        lake.write("contexts", 1, {"n": n}, {}, table)
        print("kept")
    except PayloadConflict:
        print("refused")
"""


def payload(lake: Lake, id_: str) -> Path:
    return Path(lake.files.path(lake.manifest(id_).payload))


def test_a_written_artifact_can_be_found_and_read(lake: Lake, table: Make) -> None:
    parent = lake.write("model", 1, {}, {}, table("model"))
    stored = table("spectrum", 3)
    ref = lake.write(
        "spectrum", 2, {"tau": 0.02}, {"model": parent.id, "more": [parent.id]}, stored,
        created_by="run", seconds=1.5, environment={"host": "h"}, about={"note": "n"},
    )  # fmt: skip
    assert ref.id == recipe_id("spectrum", 2, {"tau": 0.02}, {"model": parent.id, "more": [parent.id]})
    assert lake.read(ref.id).equals(stored)
    assert lake.read(ref.id[:8], columns=["eigenvalue"]).equals(stored.select(["eigenvalue"]))
    manifest = lake.find(ref.id)
    assert manifest is not None
    assert manifest.ref == ref == ArtifactRef(**json.loads(json.dumps(ref.to_json())))
    assert (manifest.created_by, manifest.seconds, manifest.about) == ("run", 1.5, {"note": "n"})
    assert manifest.parents == {"model": parent.id, "more": [parent.id]}
    assert {m.id for m in lake.manifests()} == {parent.id, ref.id}


def test_recorded_facts_do_not_change_the_id(lake: Lake, table: Make) -> None:
    first = lake.write("model", 1, {}, {}, table("model"), created_by="one", environment={"threads": 1})
    assert lake.write("model", 1, {}, {}, table("model"), created_by="two", seconds=9.0) == first
    assert lake.manifest(first.id).created_by == "one"


def test_a_unique_prefix_resolves_to_an_id(lake: Lake, table: Make) -> None:
    ids = [lake.write("contexts", 1, {"n": n}, {}, table("contexts")).id for n in range(3)]
    assert lake.resolve(ids[0][:6]) == ids[0] == lake.manifest(ids[0][:9]).id
    for wrong in (ids[0][:5], "f" * 12, "f" * 64, "../../x", ""):
        with pytest.raises(UnknownArtifact):
            lake.manifest(wrong)
    assert lake.find("f" * 64) is None


def test_opening_a_missing_lake_to_read_does_not_create_it(tmp_path: Path) -> None:
    with pytest.raises(LakeNotWritable, match="no lake at"):
        Lake.open(tmp_path / "nothing", create=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("moment", [".parquet", "manifest.json"])
def test_a_killed_write_leaves_nothing_visible(moment: str, lake: Lake, script: Script) -> None:
    process = script(KILLED, lake.uri, moment)
    assert process.communicate()[0] == ""
    assert process.returncode == -9
    assert list(lake.manifests()) == []
    again = script(KILLED, lake.uri, "never")
    id_ = again.communicate()[0].strip()
    assert lake.read(id_)["template"].to_pylist() == ["{}", "x {}"]
    assert [m.id for m in lake.manifests()] == [id_]


def test_a_different_result_is_a_conflict_with_a_distance(lake: Lake, table: Make) -> None:
    first = table("spectrum", 2, eigenvalue=[1.0, 2.0], reduced=[[1.0, 2.0], [3.0]])
    other = table("spectrum", 2, eigenvalue=[1.0, 2.25], reduced=[[1.0, 2.5], [3.0]])
    ref = lake.write("spectrum", 1, {}, {}, first)
    before = asdict(lake.manifest(ref.id))
    for _ in range(2):
        with pytest.raises(PayloadConflict, match=r"difference 0\.5") as caught:
            lake.write("spectrum", 1, {}, {}, other)
        assert (caught.value.kept, caught.value.other) == (ref.digest, table_digest(other))
    assert lake.read(ref.id).equals(first)
    assert asdict(lake.manifest(ref.id)) == before
    (record,) = Path(lake.files.path("conflicts")).iterdir()
    assert json.loads(record.read_text())["distance"] == 0.5
    assert len(list(payload(lake, ref.id).parent.iterdir())) == 2


def test_a_conflict_without_comparable_numbers_has_no_distance(lake: Lake, table: Make) -> None:
    ref = lake.write("spectrum", 1, {}, {}, table("spectrum", 2))
    for other in (table("spectrum", 3), table("spectrum", 2, layer=[5, 5])):
        with pytest.raises(PayloadConflict) as caught:
            lake.write("spectrum", 1, {}, {}, other)
        assert caught.value.distance is None
    payload(lake, ref.id).unlink()
    with pytest.raises(PayloadConflict, match="not comparable"):
        lake.write("spectrum", 1, {}, {}, table("spectrum", 3))


def test_a_missing_payload_is_not_found_and_is_restored(lake: Lake, table: Make) -> None:
    ref = lake.write("model", 1, {}, {}, table("model"))
    payload(lake, ref.id).unlink()
    assert lake.find(ref.id) is None
    with pytest.raises(MissingPayload, match="run the pipeline again"):
        lake.read(ref.id)
    assert lake.write("model", 1, {}, {}, table("model")) == ref
    assert lake.find(ref.id) is not None
    assert lake.read(ref.id).equals(table("model"))


def test_no_flipped_byte_is_read_as_other_content(lake: Lake, table: Make) -> None:
    ref = lake.write("model", 1, {}, {}, table("model"))
    whole, noticed = payload(lake, ref.id).read_bytes(), 0
    for position in range(0, len(whole), 3):
        data = bytearray(whole)
        data[position] ^= 0xFF
        payload(lake, ref.id).write_bytes(data)
        try:
            assert lake.read(ref.id).equals(table("model"))
        except DamagedPayload:
            noticed += 1
    assert noticed > len(whole) // 9


@pytest.mark.parametrize("where", [8, None])
def test_a_damaged_payload_is_detected_discarded_and_restored(where: int | None, lake: Lake, table: Make) -> None:
    ref = lake.write("model", 1, {}, {}, table("model"))
    path = payload(lake, ref.id)
    data = bytearray(path.read_bytes())
    if where is None:
        path.write_bytes(data[: len(data) // 2])
        assert lake.find(ref.id) is None
    else:
        data[where] ^= 0xFF
        path.write_bytes(data)
    with pytest.raises(DamagedPayload, match="run the pipeline again"):
        lake.read(ref.id)
    lake.discard_payload(ref.id)
    assert lake.find(ref.id) is None
    assert lake.manifest(ref.id).ref == ref
    assert lake.write("model", 1, {}, {}, table("model")) == ref
    assert lake.read(ref.id).equals(table("model"))


def test_another_writers_bytes_of_the_same_content_are_accepted(lake: Lake, table: Make) -> None:
    """A payload may be restored by another version of the Parquet library: its content decides, not its bytes."""
    ref = lake.write("model", 1, {}, {}, table("model"))
    parquet.write_table(table("model"), payload(lake, ref.id), compression="none")
    assert lake.find(ref.id) is not None
    assert lake.read(ref.id).equals(table("model"))
    parquet.write_table(table("model", 5), payload(lake, ref.id), compression="none")
    assert lake.find(ref.id) is None


def test_the_error_names_a_damaged_manifest(lake: Lake, table: Make) -> None:
    ref = lake.write("model", 1, {}, {}, table("model"))
    Path(lake.files.path(f"artifacts/{ref.id[:2]}/{ref.id}/manifest.json")).write_text("{")
    with pytest.raises(DamagedPayload, match=r"manifest\.json is not readable"):
        lake.find(ref.id)
    lake.discard_payload(ref.id)
    assert lake.find(ref.id) is None
    assert lake.write("model", 1, {}, {}, table("model")) == ref
    assert lake.find(ref.id) is not None


@pytest.mark.parametrize("rows", [2, 3])
def test_the_first_commit_decides(rows: int, lake: Lake, table: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process commits the same recipe between our payload and our manifest."""
    other, ours = table("model", 2), table("model", rows)
    create = lake.files.create

    def create_second(name: str, data: bytes) -> None:
        if name.endswith("manifest.json"):
            Lake.open(lake.uri).write("model", 1, {}, {}, other)
        create(name, data)

    monkeypatch.setattr(lake.files, "create", create_second)
    if rows == 2:
        ref = lake.write("model", 1, {}, {}, ours)
    else:
        with pytest.raises(PayloadConflict) as caught:
            lake.write("model", 1, {}, {}, ours)
        ref = lake.manifest(caught.value.id).ref
    assert lake.read(ref.id).equals(other)
    assert len(list(payload(lake, ref.id).parent.iterdir())) == 2


@pytest.mark.slow
def test_four_processes_write_the_same_recipes_at_once(lake: Lake, script: Script) -> None:
    """Where results agree all succeed; where they differ one is kept, whole, and the others are refused."""
    processes = [script(RACER, lake.uri, name) for name in "abcd"]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    outcomes = [process.communicate("go\n") for process in processes]
    assert [error for _, error in outcomes] == [""] * 4
    columns = zip(*(out.split() for out, _ in outcomes), strict=True)
    for n, column in enumerate(columns):
        assert sorted(column) == (["kept"] * 4 if n % 2 else ["kept", "refused", "refused", "refused"])
    manifests = list(lake.manifests())
    assert len(manifests) == 15
    for manifest in manifests:
        assert table_digest(lake.read(manifest.id)) == manifest.digest
