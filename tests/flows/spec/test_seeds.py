"""Several seeds in one spec are several runs, each the one that its own spec would give."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import tiny_world
from support.tiny_world import World, editflow

pytestmark = pytest.mark.exhaustive

OF_RUN = "SELECT DISTINCT request FROM edits JOIN uses USING (artifact) WHERE run_id = '{}'"


def test_each_seed_is_a_run_of_its_own(world: World, server: str, tmp_path: Path) -> None:
    del server
    lake = tmp_path / "lake"
    answer = editflow("run", world.spec, "--lake", lake, "--set", "seeds=[0,3]", "--set", "requests.count=4", "--json")
    assert answer.code == 0, answer.err
    runs = answer.json["runs"]
    assert [run["name"] for run in runs] == ["tiny-0", "tiny-3"]
    assert runs[0]["state"] != runs[1]["state"]
    alone = tiny_world.run(world.spec, lake, "requests.count=4", "requests.order=3", "contexts.seed=3")
    facts = [
        {row["request"] for row in editflow("query", OF_RUN.format(run["run_id"]), "--lake", lake, "--json").json}
        for run in runs
    ]
    assert facts[0] == facts[1]  # the same facts in another order
    assert alone["state"] == runs[1]["state"]
    assert {use["how"] for use in alone["uses"]} == {"reused"}
    answer = editflow("run", world.spec, "--lake", lake, "--set", "seeds=[0,3]", "--set", "requests.count=4")
    assert "2 seeds, means over runs" in answer.out
    assert "sd of runs" in answer.out


def test_a_repeated_seed_is_refused(world: World, tmp_path: Path) -> None:
    answer = editflow("run", world.spec, "--lake", tmp_path / "lake", "--set", "seeds=[1,1]")
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert "twice" in answer.err
