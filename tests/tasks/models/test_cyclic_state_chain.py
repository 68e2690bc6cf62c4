"""A cycle in a chain of states raises an error instead of looping."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from editflow.storage.artifacts.kinds import kind
from editflow.storage.artifacts.store import Lake
from editflow.tasks.errors import StateMismatch
from editflow.tasks.models.model_session import state_chain


def state(lake: Lake, number: int, parents: dict[str, str]) -> str:
    return lake.write("state", 1, {"number": number}, parents, kind("state").schema.empty_table()).id


def test_a_state_that_is_its_own_ancestor_is_refused(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path / "lake")
    first = state(lake, 0, {})
    second = state(lake, 1, {"state": first})
    assert [link.id for link in state_chain(lake, second)] == [first, second], "the control"
    for forged, parent in ((second, second), (first, second)):
        path = Path(lake.files.path(f"artifacts/{forged[:2]}/{forged}/manifest.json"))
        kept = path.read_text()
        path.write_text(json.dumps(json.loads(kept) | {"parents": {"state": parent}}))
        with pytest.raises(StateMismatch, match=r"^[^\n]*ancestor[^\n]*$"):
            state_chain(Lake.open(tmp_path / "lake"), second)
        path.write_text(kept)
