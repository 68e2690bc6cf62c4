"""The room that the edits of a run leave: one row per layer and step, shrinking as facts are edited."""

from __future__ import annotations

import pytest
from support import tiny_world

from benchmarks.room import measure_room
from editflow.storage.artifacts.store import Lake
from editflow.tasks.report.run_results import RunResults

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("more", [(), ("edit.method=memit", "edit.alpha=10", "edit.previous_keys=true")])
def test_later_batches_find_less_room(tmp_path, more: tuple[str, ...]) -> None:
    world = tiny_world.make(tmp_path / "world")
    record = tiny_world.record_directly(world.spec, tmp_path / "lake", *more)
    rows = list(measure_room(RunResults.load(Lake.open(tmp_path / "lake"), record.run_id), 1))
    for layer in record.spec["edit"]["layers"]:
        mine = [row for row in rows if row["layer"] == layer]
        assert [row["facts"] for row in mine] == [0, 2, 4]
        assert mine[0]["room %"] == 100
        assert mine[-1]["room %"] < 100
        assert 0 < mine[-1]["outweighed"] <= 4
