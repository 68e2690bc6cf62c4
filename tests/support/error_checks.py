"""Assertions on errors: one line that starts with "error:", exit code 2, no incomplete files."""

from __future__ import annotations

from pathlib import Path

from editflow.storage.artifacts.store import Lake
from support import tiny_world
from support.tiny_world import Answer, editflow


def refused(answer: Answer, *fragments: str) -> None:
    """Assert exit code 2 and exactly one error line, which is the last and contains all fragments; no traceback."""
    assert answer.code == 2, answer
    errors = [line for line in answer.err.splitlines() if line.startswith("error:")]
    assert len(errors) == 1, answer.err
    assert answer.err.splitlines()[-1] == errors[0], answer.err
    assert "Traceback" not in answer.err + answer.out
    for fragment in fragments:
        assert fragment in errors[0]


def unharmed(lake: Path, *kinds: str) -> None:
    """Assert that the lake has only valid artifacts of the given kinds, and that every run is recorded as failed."""
    if not lake.exists():
        return
    tiny_world.sound(lake)
    assert {m.kind for m in Lake.open(lake).manifests()} <= set(kinds)
    assert {run["status"] for run in editflow("runs", "--json", "--lake", lake).json} <= {"failed"}
