"""A snapshot changes the cost of reading and never the result, despite writers, removals, losses and damage."""

from __future__ import annotations

import json
import os
import shutil
import time
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random

import pyarrow as pa
import pytest
from support.lake_histories import EVENTS, History, kept, view_rows, view_rows_without_snapshot

from editflow.storage.artifacts.manifest import manifest_name
from editflow.storage.artifacts.store import Lake
from editflow.storage.files import Files
from editflow.storage.index import index_reader, shard_listing, snapshot
from editflow.storage.index.catalog import Catalog
from editflow.storage.maintenance.index_audit import index_faults
from editflow.storage.queries.query import impact, lineage, query
from editflow.storage.records.runs import Runs

pytestmark = pytest.mark.exhaustive


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Treat every lake as large, and write a snapshot after every change."""
    monkeypatch.setattr(index_reader, "LARGE_INDEX_BYTES", -1)
    monkeypatch.setattr(index_reader, "MIN_CHANGES", 0)
    monkeypatch.setattr(shard_listing, "MIN_AGE_NS", 10**8)


@pytest.mark.parametrize(("seed", "fold", "tail"), [(1, 0, 2000), (2, 3, 2000), (3, 0, 2), (4, 100, 2000)])
def test_a_snapshot_does_not_change_results(
    lake: Lake, table: Callable[..., pa.Table], monkeypatch: pytest.MonkeyPatch, seed: int, fold: int, tail: int
) -> None:
    monkeypatch.setattr(index_reader, "MIN_CHANGES", fold)
    monkeypatch.setattr(index_reader, "MAX_TAIL", tail)
    history = History(lake, table, Random(seed))  # noqa: S311 - draws of a test
    used = 0
    for _ in range(8):
        for event in history.draw.choices(EVENTS, k=6):
            event(history)
        used += snapshot.latest(lake.files) is not None
        assert view_rows(lake) == view_rows_without_snapshot(lake)
        history.sound()
    assert used > 4, "the control: most results came from a snapshot"


@pytest.mark.parametrize("known", ["twice", "unfinished"])
def test_artifacts_removed_during_a_read_leave_no_edges(
    lake: Lake, table: Callable[..., pa.Table], monkeypatch: pytest.MonkeyPatch, known: str
) -> None:
    """Child and parent are removed after their folders were listed; only the manifest knew the parent."""
    run = Runs(lake.files).start("unfinished", {}) if known == "unfinished" else None
    parent = lake.write("model", 1, {"n": 1}, {}, table("model"), created_by=run and run.run_id).id
    child = lake.write("model", 1, {"n": 2}, {"state": parent}, table("model")).id
    for _ in range(2 if known == "twice" else 0):
        Catalog(lake).record_many(artifacts=map(lake.manifest, (parent, child)))
    if run:
        assert len(view_rows(lake)["artifacts"]) == 2, "and a snapshot exists"
    seen = index_reader.list_shards

    def look_and_lose(files: Files, times: Mapping[str, int]) -> shard_listing.ShardListing:
        found = seen(files, times)
        for id_ in (child, parent):
            shutil.rmtree(Path(lake.files.path(manifest_name(id_))).parent, ignore_errors=True)
        return found

    monkeypatch.setattr(index_reader, "list_shards", look_and_lose)
    assert view_rows(lake)["edges"] == []


def test_control_an_unnoticed_change_makes_results_differ(
    lake: Lake, table: Callable[..., pa.Table], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control for the tests above."""
    history = History(lake, table, Random(0))  # noqa: S311
    history.make()
    assert view_rows(lake) == view_rows_without_snapshot(lake)
    monkeypatch.setattr(shard_listing, "MIN_AGE_NS", -(10**18))
    monkeypatch.setattr(shard_listing, "_time", lambda _folder: 1)
    view_rows(lake)
    history.make()
    assert view_rows(lake) != view_rows_without_snapshot(lake)


def test_a_small_lake_has_no_snapshot(lake: Lake, edited: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_reader, "LARGE_INDEX_BYTES", 2 * 2**20)
    assert query(lake, "FROM artifacts").num_rows == 12
    assert lineage(lake, edited["state2"])
    assert not kept(lake)


def test_a_second_reader_lists_only_changed_folders(
    lake: Lake, edited: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_listing, "MIN_AGE_NS", -(10**18))
    before = lineage(lake, edited["state2"]), impact(lake, [edited["documents"]])
    listed = []
    monkeypatch.setattr(shard_listing, "_names", lambda _files, shard: listed.append(shard) or [])
    assert (lineage(lake, edited["state2"]), impact(lake, [edited["documents"]])) == before
    there = {id_[:2] for name, id_ in edited.items() if name != "run"}
    assert not there.intersection(listed)


def test_a_recent_change_time_is_not_trusted(
    lake: Lake, edited: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder may change again within the resolution of the clock."""
    monkeypatch.setattr(shard_listing, "MIN_AGE_NS", 10**18)
    assert query(lake, "FROM artifacts").num_rows == 12
    found = snapshot.latest(lake.files)
    assert found is not None
    assert found.head.times == {}
    assert edited


@pytest.mark.parametrize("part", ["head.json", "ids.npy", "child.npy", "rest-artifacts.parquet", "rest-uses.parquet"])
@pytest.mark.parametrize("damage", ["lost", "cut", "junk"])
def test_a_damaged_snapshot_is_ignored(lake: Lake, edited: dict[str, str], part: str, damage: str) -> None:
    shutil.rmtree(lake.files.path("catalog/artifacts"))
    before = view_rows(lake), lineage(lake, edited["state2"])
    path = Path(lake.files.path(f"{snapshot.FOLDER}/{kept(lake)[-1]}/{part}"))
    whole = path.read_bytes()
    path.unlink()
    if damage != "lost":
        path.write_bytes(whole[: len(whole) // 2] if damage == "cut" else b"junk" * 8)
    assert (view_rows(lake), lineage(lake, edited["state2"])) == before


@pytest.mark.parametrize("part", ["head.json", "ids.npy", "parent.npy", "by_parent.npy", "rest-artifacts.parquet"])
def test_the_audit_detects_a_flipped_bit_in_a_snapshot(lake: Lake, edited: dict[str, str], part: str) -> None:
    """Readers check only the checksum of the head; the audit checks all, and a rebuild invalidates snapshots."""
    before = view_rows(lake)
    assert list(index_faults(lake)) == []
    path = Path(lake.files.path(f"{snapshot.FOLDER}/{kept(lake)[-1]}/{part}"))
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 4
    path.write_bytes(whole)
    (fault,) = index_faults(lake)
    assert (lake.files.path(fault.file), fault.repair) == (str(path), "index")
    Catalog(lake).rebuild()
    assert snapshot.latest(lake.files) is None
    assert list(index_faults(lake)) == []
    assert view_rows(lake) == before


def test_later_snapshots_keep_the_checksums_of_linked_files(
    lake: Lake, edited: dict[str, str], table: Callable[..., pa.Table]
) -> None:
    history = History(lake, table, Random(0))  # noqa: S311
    for _ in range(3):
        history.make()
        view_rows(lake)
    assert len(kept(lake)) > 1
    assert list(snapshot.damaged_files(lake.files)) == []
    assert edited


def test_an_invalidated_snapshot_is_ignored(lake: Lake, edited: dict[str, str]) -> None:
    view_rows(lake)
    assert snapshot.latest(lake.files) is not None
    snapshot.invalidate(lake.files)
    assert snapshot.latest(lake.files) is None
    view_rows(lake)
    assert snapshot.latest(lake.files) is not None
    assert edited


def test_a_snapshot_that_cannot_be_written_is_no_error(lake: Lake, edited: dict[str, str]) -> None:
    Path(lake.files.path(snapshot.FOLDER)).write_text("no folder")
    assert query(lake, "FROM artifacts").num_rows == 12
    assert edited


def test_a_damaged_column_of_a_large_index_is_read_from_manifests(lake: Lake, edited: dict[str, str]) -> None:
    """The damage is found by the query; the whole index is then read, and damaged files are treated as missing."""
    sql = "SELECT id, spec, environment, about FROM artifacts ORDER BY id"
    before = query(lake, sql)
    for file in Catalog(lake).files("artifacts"):
        whole = bytearray(Path(file).read_bytes())
        middle = len(whole) // 2
        whole[middle : middle + 400] = bytes(400)
        Path(file).write_bytes(whole)
    assert query(lake, sql) == before
    assert edited


def test_a_copy_with_preserved_times_is_listed_again(lake: Lake, table: Callable[..., pa.Table]) -> None:
    """Such as an rsync of a part of a lake: a folder keeps the modification time of its source."""
    for n in range(3):
        lake.write("model", 1, {"n": n}, {}, table("model"))
    time.sleep(0.2)
    view_rows(lake)
    lost = Path(lake.files.path(manifest_name(next(lake.ids())))).parent
    status = lost.parent.stat()
    shutil.rmtree(lost)
    os.utime(lost.parent, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert view_rows(lake) == view_rows_without_snapshot(lake)
    assert len(view_rows(lake)["artifacts"]) == 2


@pytest.mark.parametrize("text", [b"", b"17x64", b"9764367046000000000", b"\0" * 20])
def test_a_damaged_barrier_invalidates_all_snapshots_and_is_reported(
    lake: Lake, edited: dict[str, str], text: bytes
) -> None:
    before = view_rows(lake)
    snapshot.invalidate(lake.files)
    assert view_rows(lake) == before
    assert snapshot.latest(lake.files) is not None
    after = Path(lake.files.path(f"{snapshot.FOLDER}/after"))
    after.write_bytes(text)
    assert view_rows(lake) == before
    assert snapshot.latest(lake.files) is None
    (fault,) = index_faults(lake)
    assert (lake.files.path(fault.file), fault.repair) == (str(after), "index")
    Catalog(lake).rebuild()
    assert list(index_faults(lake)) == []
    assert edited
    view_rows(lake)
    assert snapshot.latest(lake.files) is not None


def test_a_snapshot_from_the_future_is_ignored(lake: Lake, edited: dict[str, str]) -> None:
    """It would otherwise stay the latest snapshot, even after a rebuild."""
    before = view_rows(lake)
    folder = Path(lake.files.path(f"{snapshot.FOLDER}/{kept(lake)[-1]}"))
    head = json.loads((folder / "head.json").read_text())
    text = json.dumps(head | {"began": head["began"] + 10**18}).encode()
    (folder / "head.json").write_bytes(text)
    folder.rename(folder.with_name(f"{int(folder.name[:20]) + 10**18:020d}-{zlib.crc32(text):08x}"))
    Catalog(lake).rebuild()
    assert snapshot.latest(lake.files) is None
    assert view_rows(lake) == before
    assert snapshot.latest(lake.files) is not None
    assert edited


@pytest.mark.parametrize("part", ["kind", "child", "parent", "role", "by_parent"])
def test_an_index_out_of_range_is_damage(lake: Lake, edited: dict[str, str], part: str) -> None:
    """Readers do not verify checksums, and must not use such an index."""
    before = view_rows(lake), lineage(lake, edited["state2"]), impact(lake, [edited["documents"]])
    path = Path(lake.files.path(f"{snapshot.FOLDER}/{kept(lake)[-1]}/{part}.npy"))
    whole = bytearray(path.read_bytes())
    for last in range(len(whole) - 1, 128, -4):
        whole[last] ^= 64
    path.write_bytes(whole)
    (path.parent.parent / "of somebody else").mkdir()
    assert (view_rows(lake), lineage(lake, edited["state2"]), impact(lake, [edited["documents"]])) == before
