"""`prepare` computes everything before the edits of a run, and `evaluate` measures the released model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support import tiny_world
from support.prefect_pages import table
from support.tiny_queue import served
from support.tiny_world import World, editflow

from editflow.storage.artifacts.store import Lake

EDITING = {"target_values", "weight_change", "keys", "state", "evaluations", "requests"}


@pytest.fixture(scope="module")
def prepared(world: World, server: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A lake in which the tiny spec is prepared, and the record of that run."""
    del server
    lake = tmp_path_factory.mktemp("prepared") / "lake"
    answer = editflow("prepare", world.spec, "--lake", lake, "--json")
    assert answer.code == 0, answer.err
    (record,) = answer.json["runs"]
    return lake, record


def test_prepare_does_everything_except_the_edits(prepared, reference) -> None:
    lake, record = prepared
    kinds = {manifest.kind for manifest in Lake.open(lake).manifests()}
    assert {"null_space", "contexts", "second_moment"} <= kinds
    assert kinds.isdisjoint(EDITING)
    assert record["state"] is None
    assert tiny_world.digests(lake).items() <= tiny_world.digests(reference.lake).items()
    ready = {use["artifact"] for use in reference.record["uses"]}
    assert {*record["summary"]["prepared"]["null_space"]} <= ready


@pytest.mark.exhaustive
def test_a_run_reuses_the_prepared_artifacts(prepared, world: World) -> None:
    lake, record = prepared
    run = tiny_world.run(world.spec, lake, "requests.count=2")
    hows = {use["artifact"]: use["how"] for use in run["uses"]}
    assert {hows[use["artifact"]] for use in record["uses"]} == {"reused"}
    assert "created" in hows.values()  # control: the edits themselves
    assert "is prepared: 0 created" in editflow("prepare", world.spec, "--lake", lake).err
    assert editflow("show", record["run_id"], "--lake", lake).code == 0


def test_a_release_is_evaluated_on_the_facts_it_holds(prepared, world: World, tmp_path: Path) -> None:
    lake, _ = prepared
    spec = served(world, tmp_path)
    nothing = editflow("evaluate", spec, "--lake", lake)
    assert (nothing.code, "no facts" in nothing.err) == (0, True)
    rows = tiny_world.records(4)
    editflow("submit", tiny_world.write_lines(tmp_path / "facts.jsonl", rows[:3]), "--lake", lake)
    assert editflow("apply", spec, "--lake", lake).code == 0
    editflow("submit", tiny_world.write_lines(tmp_path / "later.jsonl", rows[3:]), "--lake", lake)  # it is pending
    record = editflow("evaluate", spec, "--lake", lake, "--json").json
    run = tiny_world.record_directly(world.spec, tmp_path / "run", f"requests.source={tmp_path / 'facts.jsonl'}",
                                     "requests.count=3", "edit.batch_size=3")  # fmt: skip
    assert record["summary"]["facts"] == 3
    assert record["summary"]["before"] == run.summary["before"]
    assert set(record["summary"]["after"]) == set(run.summary["after"])
    assert record["summary"]["after"] != record["summary"]["before"]
    rows = {row["metric"]: row["after"] for row in table("serve-evaluation")}
    assert rows["efficacy success %"] == record["summary"]["after"]["efficacy"]["success"]
    output = editflow("show", record["run_id"], "--lake", lake).out
    assert "3 facts in release current: " in output
    assert editflow("ask", record["run_id"], "speaks", "--lake", lake).code == 0
