"""Litter goes, everything else stays: beside writers, and whatever was touched of late."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pyarrow as pa
import pytest
import tiny_world
from prefect_pages import table
from tiny_world import World, editflow

from flows.clean import clean
from storage.litter import litter, sweep
from storage.store import Lake

OLD = time.time() - 48 * 3600


@pytest.fixture
def lake(world: World, tmp_path: Path) -> Path:
    """A finished run, and one piece of each kind of litter, two days old."""
    folder = tmp_path / "lake"
    tiny_world.record_directly(world.spec, folder, "requests.count=2")
    for path in _pieces(folder):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 100)
    for path in folder.rglob("*"):
        os.utime(path, (OLD, OLD))  # age alone makes no litter
    return folder


def _pieces(folder: Path) -> list[Path]:
    payload = next(folder.glob("artifacts/*/*/payload-*.parquet"))
    lost = "ab" * 32
    return [
        folder / "runs" / ".tmp-0123",
        payload.with_name(payload.name + ".discarded-1"),
        folder / "artifacts" / "ab" / lost / "payload-0123456789abcdef.parquet",
        folder / "prefect" / lost,
    ]


def test_litter_goes_and_all_else_stays(lake: Path) -> None:
    pieces = [path for path in _pieces(lake) if path.exists()]
    assert len(pieces) == 4
    kept = {path: path.read_bytes() for path in lake.rglob("*") if path.is_file() and path not in pieces}
    said = editflow("gc", "--lake", lake, "--json").json
    assert all(path.exists() for path in pieces)  # only said so far
    assert sorted(row["what"] for row in said["litter"]) == [
        "payload without manifest", "result without artifact", "set aside", "unfinished file",
    ]  # fmt: skip
    assert editflow("gc", "--lake", lake, "--delete", "--json").json["litter"] == said["litter"]
    assert not any(path.exists() for path in pieces)
    lost = {path for path in kept if not path.exists()}
    assert not {path for path in lost if "catalog" not in path.parts}
    assert editflow("gc", "--lake", lake, "--json").json["litter"] == []
    tiny_world.sound(lake)
    assert editflow("runs", "--lake", lake).code == 0
    assert len(editflow("query", "SELECT id FROM artifacts", "--lake", lake, "--json").json) == len(
        tiny_world.digests(lake)
    )


def test_the_flow_does_the_same_and_says_so_on_its_page(lake: Path, server: str) -> None:
    found = clean(str(lake))
    assert "set aside" in {row["what"] for row in found}
    assert table("litter") == found
    assert clean(str(lake)) == []


def test_what_was_touched_of_late_stays(lake: Path) -> None:
    """The control of age: a writer may be at work on it."""
    for path in _pieces(lake)[:2]:
        os.utime(path)
    assert len(list(litter(Lake.open(lake), 24))) == 2
    clean.fn(str(lake))
    assert [path.exists() for path in _pieces(lake)] == [True, True, False, False]


def test_a_writer_that_comes_in_between_keeps_its_file(lake: Path) -> None:
    """Found as litter, then the artifact is made after all: the new payload stays, and the artifact is whole."""
    store = Lake.open(lake)
    documents = next(m for m in store.manifests() if m.kind == "documents")
    table = store.read(documents.id)
    manifest = lake / documents.payload
    os.utime(manifest, (OLD, OLD))
    (manifest.parent / "manifest.json").rename(lake / "manifest")
    (found,) = [one for one in litter(store, 24) if documents.id in one.name and one.what.startswith("payload without")]
    ref = store.write(documents.kind, documents.version, documents.spec, documents.parents, table)
    assert ref.id == documents.id
    assert not sweep(store, found, 24)
    assert store.fault(documents.id) is None
    assert store.read(documents.id).equals(table)
    assert isinstance(table, pa.Table)


def test_wrong_input_gets_one_line(tmp_path: Path) -> None:
    for words, said in (
        (["--lake", tmp_path / "none"], "no lake at"),
        (["--hours", "0", "--lake", tmp_path], "Must be >= 1"),
    ):
        answer = editflow("gc", *words)
        assert (answer.code, answer.err.count("\n")) == (2, 1)
        assert said in answer.err
