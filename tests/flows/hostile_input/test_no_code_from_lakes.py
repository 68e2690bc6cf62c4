"""An untrusted lake: no file in it chooses its own deserialiser, so none runs code."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prefect.results import ResultRecord, ResultRecordMetadata
from prefect.serializers import PickleSerializer
from support import tiny_world
from support.tiny_queue import served
from support.tiny_world import World, editflow

from editflow.flows.pipeline.facts import load_facts
from editflow.flows.spec.loading import load_spec
from editflow.storage.artifacts.store import Lake
from editflow.storage.maintenance.orphans import find_orphans, remove_orphan


class Canary:
    """An object that creates a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.file,)


def plant(lake: Path, canary: Path) -> int:
    """Add a Prefect result for each artifact that names pickle as its deserialiser; returns their number."""
    folder = lake / "prefect"
    folder.mkdir(exist_ok=True)
    ids = sorted(tiny_world.digests(lake))
    for id_ in ids:
        about = ResultRecordMetadata(serializer=PickleSerializer(), storage_key=str(folder / id_))
        (folder / id_).write_bytes(ResultRecord(result=Canary(canary), metadata=about).serialize())
    return len(ids)


@pytest.mark.exhaustive
def test_results_of_prefect_in_a_lake_are_not_read(world: World, copied: Path, tmp_path: Path) -> None:
    canary, spec = tmp_path / "canary", served(world, tmp_path)
    rows = [row | {"case_id": 100 + n} for n, row in enumerate(tiny_world.records(8)[6:])]
    for n, row in enumerate(rows):
        facts = tiny_world.write_lines(tmp_path / f"facts{n}.jsonl", [row])
        assert editflow("submit", facts, "--lake", copied).code == 0
        if n == 0:
            assert editflow("apply", spec, "--lake", copied).code == 0
    plant(copied, canary)
    ResultRecord.deserialize((copied / "prefect" / min(tiny_world.digests(copied))).read_bytes())
    assert canary.exists(), "the control: reading such a file runs its code"
    canary.unlink()
    fact = load_facts(load_spec(world.spec).requests)[-1].request_id
    commands: tuple[tuple[object, ...], ...] = (
        ("run", world.spec), ("prepare", world.spec), ("apply", spec), ("evaluate", spec),
        ("compare", world.spec, "--out", tmp_path / "comparison"),
        ("impact", "--withdraw", f"request:{fact}", "--redo"),
        ("verify",), ("gc",),
    )  # fmt: skip
    for words in commands:
        plant(copied, canary)
        answer = editflow(*words, "--lake", copied)
        assert not canary.exists(), words[0]
        assert answer.code == 0, answer.err


def test_other_files_are_not_read_as_results(world: World, copied: Path) -> None:
    plant(copied, copied / "canary")
    texts = [b"", b"{", b'{"result": "5"}', b"\x80\x04N."]
    for n, path in enumerate((copied / "prefect").iterdir()):
        path.write_bytes(texts[n % len(texts)])
    record = tiny_world.run(world.spec, copied)
    assert {use["how"] for use in record["uses"]} == {"reused"}


@pytest.fixture
def older(tmp_path: Path) -> Path:
    """A lake with new Prefect results and another file beside them."""
    lake = tmp_path / "lake"
    (lake / "artifacts").mkdir(parents=True)
    for name in ("ab" * 32, "odd", "deep/er/x"):
        path = lake / "prefect" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 100)
    return lake


def unneeded_files(lake: Path, *words: str) -> list[tuple[str, int, int]]:
    return [(row["what"], row["files"], row["bytes"]) for row in
            editflow("gc", *words, "--lake", lake, "--json").json["litter"]]  # fmt: skip


def test_results_of_prefect_are_deleted_at_any_age(older: Path) -> None:
    for words, there in (((), True), (("--delete",), False)):
        assert unneeded_files(older, *words) == [("result of Prefect", 3, 300)]
        assert (older / "prefect").exists() == there
    assert unneeded_files(older, "--delete") == []
    assert not list(older.glob(".tmp-*"))


def test_doctor_names_results_of_prefect(older: Path) -> None:
    for _ in range(2):
        found = [row for row in editflow("doctor", "--lake", older, "--json").json if row["check"] == "leftovers"]
        assert ["Prefect" in row["found"] for row in found] == [(older / "prefect").exists()]
        assert editflow("gc", "--delete", "--lake", older).code == 0


def test_a_link_in_place_of_the_folder_is_deleted_but_not_its_target(older: Path, tmp_path: Path) -> None:
    """The folder itself and entries in it; a file in its place is deleted too."""
    other = tmp_path / "other"
    shutil.move(older / "prefect", other)
    before = sorted(other.rglob("*"))
    (older / "prefect").symlink_to(other)
    assert unneeded_files(older, "--delete")[0][:2] == ("result of Prefect", 1)
    assert not (older / "prefect").is_symlink()
    (older / "prefect").mkdir()
    (older / "prefect" / "inside").symlink_to(other)
    assert editflow("gc", "--delete", "--lake", older).code == 0
    assert not (older / "prefect").exists()
    (older / "prefect").symlink_to(tmp_path / "nowhere")
    assert editflow("gc", "--delete", "--lake", older).code == 0
    assert not (older / "prefect").is_symlink()
    (older / "prefect").write_text("x")
    assert unneeded_files(older, "--delete") == [("result of Prefect", 1, 1)]
    assert unneeded_files(older) == []
    assert sorted(other.rglob("*")) == before


def test_an_empty_folder_and_a_dangling_link_are_unneeded_files(older: Path, tmp_path: Path) -> None:
    """The remains of a killed `gc`."""
    shutil.rmtree(older / "prefect")
    (older / "artifacts" / "ab" / ".tmp-1" / "deep").mkdir(parents=True)
    (older / "runs").mkdir()
    (older / "runs" / ".tmp-2").symlink_to(tmp_path / "nowhere")
    (older / "runs" / "plain").mkdir()
    store = Lake.open(older)
    assert list(find_orphans(store, 1)) == [], "the control: it is too new"
    old = time.time() - 7200
    for path in older.rglob("*"):
        os.utime(path, (old, old), follow_symlinks=False)
    assert all(remove_orphan(store, piece, 1) for piece in list(find_orphans(store, 1)))
    assert not list(older.rglob(".tmp-*/deep"))
    assert not (older / "runs" / ".tmp-2").is_symlink()
    assert (older / "runs" / "plain").is_dir()
