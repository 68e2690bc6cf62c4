"""The environment in records of runs and artifacts."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import torch

from editflow.tasks.environment import ROOT, commit_of, cores, environment, run_environment, threads_of


def test_a_run_records_more_than_an_artifact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MKL_CBWR", "COMPATIBLE")
    whole, short = run_environment("cpu"), environment("cpu")
    assert whole.items() >= short.items()
    assert (whole["device"], whole["threads"]) == ("cpu", torch.get_num_threads())
    added = whole.keys() - short.keys() - {"OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "commit"}
    assert added == {"constraints", "installed", "processor", "MKL_CBWR"}
    assert {len(whole["constraints"]), len(whole["installed"])} == {64}
    assert ("commit" in whole) == bool(commit_of(ROOT))
    assert None not in whole.values()


def test_a_recorded_number_of_threads_is_limited_to_the_cores() -> None:
    present = torch.get_num_threads()
    most = max(present, cores())
    for count in range(1, cores() + 1):
        assert threads_of({"threads": count}) == count
    for count in (most + 1, 1024, 2**70):
        assert threads_of({"threads": count}) == most
    for strange in (0, -1, -(2**70), "x", "2", 1.0, float("nan"), True, None, [1], {}):
        assert threads_of({"threads": strange}) == present
    assert threads_of({}) == present


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=n", "-c", "user.email=n@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", "-C", str(folder), *who, *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_commit_of_a_checkout(tmp_path: Path) -> None:
    assert commit_of(tmp_path) == ""
    git(tmp_path, "init", "--quiet")
    assert commit_of(tmp_path) == "", "nothing is committed yet"
    (tmp_path / "file").write_text("1")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "--quiet", "--message", "first")
    git(tmp_path, "tag", "v1")
    commit = git(tmp_path, "rev-parse", "HEAD")
    assert commit_of(tmp_path) == commit
    (tmp_path / "new").write_text("not tracked")
    assert commit_of(tmp_path) == commit
    (tmp_path / "file").write_text("2")
    assert commit_of(tmp_path) == f"{commit}-dirty"
    (tmp_path / "below").mkdir()
    assert commit_of(tmp_path / "below") == "", "a subfolder of a repository is not a checkout"


def test_without_git_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".git").mkdir()
    assert commit_of(tmp_path) == "", "no repository"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commit_of(ROOT) == ""
