"""`editflow doctor` over real damage: each thing that is wrong gets its line and remedy, and nothing is changed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny_world
from refusals import refused
from tiny_world import Answer, World, editflow

from flows.checks import machine
from storage.runs import Runs
from storage.store import Lake
from tasks.fetch import CORPUS, MODEL
from tasks.models import converted_folder

ARCHIVE = ["lake", "artifacts", "lineage", "index", "runs", "names", "leftovers"]
DYING = """
import sys
from storage.runs import Runs
from storage.store import Lake
Runs(Lake.open(sys.argv[1]).files).start(sys.argv[2], {})
"""

Damage = Callable[[Path], object]


def doctor(lake: Path, *more: str) -> dict[str, list[dict[str, str]]]:
    """The findings by check; the exit code must be that of the worst of them."""
    answer = editflow("doctor", "--json", "--lake", lake, *more)
    found: dict[str, list[dict[str, str]]] = {}
    for finding in answer.json:
        found.setdefault(finding["check"], []).append(finding)
        assert (finding["remedy"] == "") == (finding["verdict"] == "ok"), finding
    wrong = "problem" in {finding["verdict"] for finding in answer.json}
    assert (answer.code, answer.err) == (int(wrong), "")
    return found


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
    subprocess.run([sys.executable, "-c", DYING, str(lake), name], check=True, cwd=Path(__file__).parents[2])


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
    "index log damaged": (lambda lake: log(lake).write_text("nonsense"), "index", "problem", "artifacts is damaged"),
    "index file gone": (
        lambda lake: next((lake / "catalog" / "uses").glob("*.parquet")).unlink(),
        *("index", "problem", "uses is damaged"),
    ),
    "run record damaged": (lambda lake: (record(lake) / "finished.json").write_text("{"), "runs", "problem", "damaged"),
    "run died": (die, "runs", "warning", "not taken up again"),
    "name damaged": (
        lambda lake: next((lake / "refs" / "tiny").iterdir()).write_text("{"),
        *("names", "problem", "is damaged"),
    ),
    "leftovers": (leave, "leftovers", "warning", "1 temporary or discarded files, 5.0 kB; 1 unfinished"),
}


def test_a_sound_lake(copied: Path) -> None:
    """The control of all damage below."""
    found = doctor(copied)
    assert verdicts(found) == dict.fromkeys(ARCHIVE, "ok")
    assert f"{len(tiny_world.digests(copied))} artifacts" in found["artifacts"][0]["found"]
    assert verdicts(doctor(copied, "--deep")) == dict.fromkeys(ARCHIVE, "ok")


@pytest.mark.parametrize("name", DAMAGE)
def test_damage(copied: Path, name: str) -> None:
    damage, check, verdict, fragment = DAMAGE[name]
    damage(copied)
    before = tree(copied)
    found = doctor(copied)
    assert verdicts(found)[check] == verdict
    assert any(fragment in finding["found"] for finding in found[check])
    assert "Traceback" not in json.dumps(found)
    assert tree(copied) == before, "the doctor changes nothing"
    table = editflow("doctor", "--lake", copied)
    assert verdict in table.out
    assert table.err.splitlines()[-1].startswith("next: ")


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_flipped_byte_is_found_by_the_deep_check_only(copied: Path) -> None:
    path = newest(copied, "weight_change")
    tiny_world.flip_byte(path)
    assert verdicts(doctor(copied))["artifacts"] == "ok"
    (finding,) = doctor(copied, "--deep")["artifacts"]
    assert finding["verdict"] == "problem"
    assert path.parent.name[:12] in finding["found"]


def test_what_the_doctor_prescribes_helps(world: World, copied: Path) -> None:
    """Running the spec again makes good what was lost, and leaves of the damage only what was set aside."""
    newest(copied, "evaluation").unlink()
    tiny_world.flip_byte(newest(copied, "weight_change"))
    assert verdicts(doctor(copied, "--deep"))["artifacts"] == "problem"
    tiny_world.run(world.spec, copied)
    healed = doctor(copied, "--deep")
    assert verdicts(healed) == dict.fromkeys(ARCHIVE, "ok") | {"leftovers": "warning"}
    assert "1 temporary or discarded files" in healed["leftovers"][0]["found"]


def test_a_lost_index_is_no_loss(copied: Path) -> None:
    shutil.rmtree(copied / "catalog")
    (finding,) = doctor(copied)["index"]
    assert (finding["verdict"], "which questions add" in finding["found"]) == ("ok", True)


def test_a_run_that_died_and_was_taken_up_again(copied: Path) -> None:
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
        ("file/below", "problem", "none can be made"),
        ("odd", "problem", "artifacts is a file"),
        ("/proc/lake", "problem", "none can be made"),
        ("x" * 300, "problem", "too long"),
    ],
)
def test_places_without_a_lake(tmp_path: Path, place: str, verdict: str, fragment: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "artifacts").write_text("")
    before = sorted(tmp_path.rglob("*"))
    found = doctor(tmp_path / place)
    assert found["lake"][0]["verdict"] == verdict
    assert fragment in found["lake"][0]["found"]
    assert "memory" in found, "the other checks go on"
    assert sorted(tmp_path.rglob("*")) == before


def test_a_url_is_a_mistake_in_the_question() -> None:
    refused(editflow("doctor", "--lake", "s3://bucket/lake"), "a folder on a local disk")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of eight megabytes."""
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


def test_a_small_disk_that_refuses_writes(copied: Path, disk: Path) -> None:
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
    assert (nowhere["verdict"], "none can be made" in nowhere["found"]) == ("problem", True)


@pytest.mark.parametrize("name", ["disk", "memory"])
def test_little_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(machine, f"LEAST_{name.upper()}", 1.0)
    assert {finding["verdict"] for finding in doctor(tmp_path)[name]} == {"ok"}
    monkeypatch.setattr(machine, f"LEAST_{name.upper()}", 1e18)
    assert {finding["verdict"] for finding in doctor(tmp_path)[name]} == {"warning"}


def test_an_empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDITFLOW_CACHE", str(tmp_path / "cache"))
    found = doctor(tmp_path)
    for check, item in (("model", MODEL), ("corpus", CORPUS)):
        (finding,) = found[check]
        assert (finding["verdict"], item.name in finding["found"]) == ("problem", True)
        assert "`editflow fetch`" in finding["remedy"]
    assert found["cache"][0]["verdict"] == found["prefect"][0]["verdict"] == "ok"
    assert not (tmp_path / "cache").exists()


def test_half_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDITFLOW_CACHE", str(tmp_path))
    (MODEL.path.parent / "tmpabc").mkdir(parents=True)
    (MODEL.path.parent / "tmpabc" / "a.whl").write_bytes(b"x" * 3000)
    MODEL.path.write_bytes(b"GGUF")
    found = doctor(tmp_path)
    assert (found["model"][0]["verdict"], "cut off" in found["model"][0]["found"]) == ("problem", True)
    assert (found["cache"][0]["verdict"], "3.0 kB" in found["cache"][0]["found"]) == ("warning", True)


def test_a_cache_that_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cache").write_text("")
    monkeypatch.setenv("EDITFLOW_CACHE", str(tmp_path / "cache"))
    found = doctor(tmp_path)
    assert [found[check][0]["verdict"] for check in ("cache", "prefect", "model")] == ["problem"] * 3


@pytest.mark.real_model
def test_fetched_but_not_converted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = MODEL.path
    ready = doctor(tmp_path)
    assert [ready[check][0]["verdict"] for check in ("model", "corpus")] == ["ok", "ok"], "the control"
    monkeypatch.setenv("EDITFLOW_CACHE", str(tmp_path))
    MODEL.path.parent.mkdir()
    shutil.copy(whole, MODEL.path)
    assert doctor(tmp_path)["model"][0]["verdict"] == "warning"
    folder = converted_folder(MODEL.path)
    folder.mkdir(parents=True)
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (finding,) = doctor(tmp_path)["model"]
        assert (finding["verdict"], str(folder) in finding["remedy"]) == ("problem", True)
        (folder / name).write_bytes(b"\x08\0\0\0\0\0\0\0{")
    assert "damaged file model.safetensors" in doctor(tmp_path)["model"][0]["found"]


def installed(folder: Path, name: str, version: str, **more: str) -> None:
    """A package's metadata, found before those of the real one."""
    (folder / f"{name}-{version}.dist-info").mkdir(parents=True)
    fields = {"Metadata-Version": "2.1", "Name": name, "Version": version, **more}
    lines = "".join(f"{key}: {value}\n" for key, value in fields.items())
    (folder / f"{name}-{version}.dist-info" / "METADATA").write_text(lines)


def elsewhere(folder: Path, lake: Path) -> Answer:
    """The doctor in a process of its own that finds `folder` before everything installed."""
    env = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{Path(__file__).parents[2]}"}
    command = [str(Path(sys.executable).parent / "editflow"), "doctor", "--json", "--lake", str(lake)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env, timeout=120)
    return Answer(done.returncode, done.stdout, done.stderr)


def test_packages_out_of_range_and_a_broken_torch(tmp_path: Path) -> None:
    control = {(f["check"], f["verdict"]) for f in elsewhere(tmp_path / "none", tmp_path).json}
    assert {("packages", "ok"), ("torch", "ok"), ("python", "ok")} <= control
    assert ("packages", "problem") not in control
    folder = tmp_path / "site"
    installed(folder, "duckdb", "0.1.0")
    (folder / "torch").mkdir()
    (folder / "torch" / "__init__.py").write_text("raise ImportError('libtorch.so: no such file')\n")
    answer = elsewhere(folder, tmp_path)
    assert (answer.code, answer.err) == (1, "")
    wrong = {f["check"]: f for f in answer.json if f["verdict"] == "problem"}
    assert "duckdb 0.1.0 is out of range" in wrong["packages"]["found"]
    assert "pip install 'duckdb" in wrong["packages"]["remedy"]
    assert "libtorch.so" in wrong["torch"]["found"]


def test_a_package_that_is_lacking_and_another_python(tmp_path: Path) -> None:
    needs = {"Requires-Python": ">=99", "Requires-Dist": "no-such-package>=1"}
    installed(tmp_path, "editflow", "0.1.0", **needs)
    wrong = {f["check"]: f["found"] for f in elsewhere(tmp_path, tmp_path / "lake").json if f["verdict"] == "problem"}
    assert "needs >=99" in wrong["python"]
    assert "no-such-package is not installed" in wrong["packages"]
