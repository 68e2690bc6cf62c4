"""`editflow doctor` on damaged lakes: each fault has a finding with a remedy, and nothing is changed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support import tiny_world
from support.damage import flip_bit
from support.doctor_findings import doctor
from support.error_checks import refused
from support.queue_without_model import fact, judge
from support.tiny_world import World, editflow

from editflow.storage.artifacts.store import Lake
from editflow.storage.records.runs import Runs
from editflow.tasks.releases.queue import Queue
from editflow.tasks.releases.release import apply_next

ARCHIVE = ["lake", "artifacts", "lineage", "index", "runs", "names", "queues", "leftovers"]
DYING = """
import sys
from editflow.storage.records.runs import Runs
from editflow.storage.artifacts.store import Lake
Runs(Lake.open(sys.argv[1]).files).start(sys.argv[2], {})
"""

Damage = Callable[[Path], object]


def verdicts(found: dict[str, list[dict[str, str]]]) -> dict[str, str]:
    """The worst verdict of each check on the lake."""
    order = ["ok", "warning", "problem"]
    return {check: max((f["verdict"] for f in found[check]), key=order.index) for check in ARCHIVE if check in found}


def newest(lake: Path, kind: str) -> Path:
    return tiny_world.payload(lake, tiny_world.artifacts(lake, kind)[-1])


def rewrite(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def manifest(lake: Path, **changes: Any) -> None:
    rewrite(newest(lake, "tokens").parent / "manifest.json", **changes)


def log(lake: Path) -> Path:
    return sorted((lake / "catalog" / "artifacts" / "_delta_log").glob("*.json"))[-1]


def record(lake: Path) -> Path:
    return next((lake / "runs").iterdir())


def die(lake: Path, name: str = "tiny") -> None:
    subprocess.run([sys.executable, "-c", DYING, str(lake), name], check=True, cwd=Path(__file__).parents[4])


def serve(lake: Path, damaged: str = "", state: str = "ab" * 32) -> None:
    """Add a release of a missing state; `damaged` names a log that is emptied too."""
    queue = Queue(Lake.open(lake).files, "current")
    queue.submit([fact("a"), fact("b")])
    apply_next(queue, 1, lambda *asked: replace(judge(*asked), state=state))
    if damaged:
        (lake / damaged / "current/00000001.json").write_text('{"value": {}}')


def leave(lake: Path) -> None:
    (lake / "artifacts" / "ab" / ("ab" * 32)).mkdir(parents=True)
    (lake / "artifacts" / "ab" / ("ab" * 32) / ".tmp-0").write_bytes(b"x" * 5000)


DAMAGE: dict[str, tuple[Damage, str, str, str]] = {
    "payload gone": (lambda lake: newest(lake, "keys").unlink(), "artifacts", "problem", "lost its payload"),
    "payload cut": (lambda lake: os.truncate(newest(lake, "keys"), 99), "artifacts", "problem", "lost its payload"),
    "manifest is no JSON": (
        lambda lake: (newest(lake, "keys").parent / "manifest.json").write_text("{"),
        *("artifacts", "problem", "damaged manifest"),
    ),
    "manifest is a list": (
        lambda lake: (newest(lake, "keys").parent / "manifest.json").write_text("[]"),
        *("artifacts", "problem", "damaged manifest"),
    ),
    "manifest of other types": (lambda lake: manifest(lake, digest=7), "artifacts", "problem", "damaged manifest"),
    "manifest of another recipe": (lambda lake: manifest(lake, version=9), "artifacts", "problem", "another recipe"),
    "parent gone": (lambda lake: shutil.rmtree(newest(lake, "tokens").parent), "lineage", "problem", "are gone"),
    "index log damaged": (
        lambda lake: log(lake).write_text("nonsense"),
        "index",
        "problem",
        "artifacts/_delta_log is dam",
    ),
    "index file gone": (
        lambda lake: next((lake / "catalog" / "uses").glob("*.parquet")).unlink(),
        *("index", "problem", ".zstd.parquet is gone"),
    ),
    "run record damaged": (lambda lake: (record(lake) / "finished.json").write_text("{"), "runs", "problem", "damaged"),
    "run died": (die, "runs", "warning", "killed and not continued"),
    "name damaged": (
        lambda lake: next((lake / "refs" / "tiny").iterdir()).write_text("{"),
        *("names", "problem", "is damaged"),
    ),
    "name of nothing": (
        lambda lake: rewrite(next((lake / "refs" / "tiny").iterdir()), value="../x"),
        *("names", "problem", "does not hold the id"),
    ),
    "served state gone": (serve, "queues", "problem", "is gone, but release 2 of current points to it"),
    "served state of no id": (
        lambda lake: serve(lake, state="../x"),
        *("queues", "problem", "releases/current/00000002.json names a state that is not an id"),
    ),
    "queue damaged": (
        lambda lake: serve(lake, "queues"),
        "queues",
        "problem",
        "queues/current/00000001.json is not a valid record of queues",
    ),
    "release damaged": (
        lambda lake: serve(lake, "releases"),
        "queues",
        "problem",
        "releases/current/00000001.json is not a valid record of releases",
    ),
    "leftovers": (leave, "leftovers", "warning", "1 temporary or discarded files, 5.0 kB; 1 unfinished"),
}


def test_a_valid_lake_has_no_problems(copied: Path) -> None:
    """Control of the tests below."""
    found = doctor(copied)
    assert verdicts(found) == dict.fromkeys(ARCHIVE, "ok")
    assert f"{len(tiny_world.digests(copied))} artifacts" in found["artifacts"][0]["found"]
    assert verdicts(doctor(copied, "--deep")) == dict.fromkeys(ARCHIVE, "ok")


@pytest.mark.parametrize("name", DAMAGE)
def test_each_damage_is_found(copied: Path, name: str) -> None:
    damage, check, verdict, fragment = DAMAGE[name]
    damage(copied)
    before = tree(copied)
    found = doctor(copied)
    assert verdicts(found)[check] == verdict
    assert any(fragment in finding["found"] for finding in found[check]), found[check]
    assert "Traceback" not in json.dumps(found)
    assert tree(copied) == before, "the doctor changes nothing"
    table = editflow("doctor", "--lake", copied)
    assert verdict in table.out
    assert table.err.splitlines()[-1].startswith("next: ")


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_only_the_deep_check_finds_a_flipped_byte(copied: Path) -> None:
    path = newest(copied, "weight_change")
    flip_bit(path)
    assert verdicts(doctor(copied))["artifacts"] == "ok"
    (finding,) = doctor(copied, "--deep")["artifacts"]
    assert finding["verdict"] == "problem"
    assert path.parent.name[:12] in finding["found"]


@pytest.mark.exhaustive
def test_the_remedy_repairs_the_lake(world: World, copied: Path) -> None:
    """Running the spec again repairs the lake; only the files that were set aside are left."""
    newest(copied, "evaluation").unlink()
    flip_bit(newest(copied, "weight_change"))
    assert verdicts(doctor(copied, "--deep"))["artifacts"] == "problem"
    tiny_world.run(world.spec, copied)
    repaired = doctor(copied, "--deep")
    assert verdicts(repaired) == dict.fromkeys(ARCHIVE, "ok") | {"leftovers": "warning"}
    assert "1 temporary or discarded files" in repaired["leftovers"][0]["found"]


def test_a_missing_index_is_not_a_problem(copied: Path) -> None:
    shutil.rmtree(copied / "catalog")
    (finding,) = doctor(copied)["index"]
    assert (finding["verdict"], "the next query adds" in finding["found"]) == ("ok", True)


def test_a_killed_run_that_was_continued_is_not_a_problem(copied: Path) -> None:
    die(copied)
    assert verdicts(doctor(copied))["runs"] == "warning"
    runs = Runs(Lake.open(copied).files)
    runs.finish(runs.start("tiny", {}), "completed")
    (finding,) = doctor(copied)["runs"]
    assert (finding["verdict"], finding["found"]) == ("ok", "2 completed, 1 died")


@pytest.mark.parametrize(
    ("place", "verdict", "fragment"),
    [
        ("nowhere", "warning", "none at"),
        ("empty", "warning", "none at"),
        ("file", "problem", "is a file"),
        ("file/below", "problem", "none can be created"),
        ("odd", "problem", "artifacts is a file"),
        ("/proc/lake", "problem", "none can be created"),
        ("x" * 300, "problem", "too long"),
    ],
)
def test_a_folder_without_a_lake_is_reported(tmp_path: Path, place: str, verdict: str, fragment: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "artifacts").write_text("")
    before = sorted(tmp_path.rglob("*"))
    found = doctor(tmp_path / place)
    assert found["lake"][0]["verdict"] == verdict
    assert fragment in found["lake"][0]["found"]
    assert "memory" in found, "the other checks run"
    assert sorted(tmp_path.rglob("*")) == before


def test_a_url_is_refused() -> None:
    refused(editflow("doctor", "--lake", "s3://bucket/lake"), "a folder on a local disk")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 8 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(place)]
    done = subprocess.run(mounted, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_small_read_only_disk_is_reported(copied: Path, disk: Path) -> None:
    lake = shutil.copytree(copied, disk / "lake")
    found = doctor(lake)
    assert found["lake"][0]["verdict"] == "ok"
    assert (found["disk"][0]["verdict"], "free for the lake" in found["disk"][0]["found"]) == ("warning", True)
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    found = doctor(lake)
    assert found["lake"][0]["verdict"] == "problem"
    assert "can be read, but not written: Read-only file system" in found["lake"][0]["found"]
    assert verdicts(found)["artifacts"] == "ok"
    nowhere = doctor(disk / "other")["lake"][0]
    assert (nowhere["verdict"], "none can be created" in nowhere["found"]) == ("problem", True)
