"""What Prefect stores and shows: states and names of task runs, tables and curves, and no results."""

from __future__ import annotations

import json
import os
import platform
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from support import tiny_world
from support.prefect_pages import latest
from support.tiny_world import World

pytestmark = pytest.mark.exhaustive


def states(spec: Path, wanted: set[str]) -> dict[str, str]:
    """{task run: name of its state} of the latest flow run of a spec, as soon as the server has all expected ones."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId, FlowRunFilterName
    from prefect.client.schemas.sorting import FlowRunSort

    with get_client(sync_client=True) as client:
        named = FlowRunFilter(name=FlowRunFilterName(any_=[str(spec)]))
        (flow,) = client.read_flow_runs(flow_run_filter=named, sort=FlowRunSort.START_TIME_DESC, limit=1)
        mine = FlowRunFilter(id=FlowRunFilterId(any_=[flow.id]))
        while True:
            runs = client.read_task_runs(flow_run_filter=mine, limit=200)
            found = {run.name: str(run.state_name) for run in runs if run.state and run.state.is_final()}
            if found.keys() >= wanted:
                return found
            time.sleep(0.1)


def small(world: World, spec: Path) -> Path:
    """A spec of a few facts on one layer, with a unique name."""
    spec.write_text(world.spec.read_text().replace('"facts.jsonl"', f'"{world.facts}"'))
    return spec


SMALL = ("requests.count=2", "edit.layers=[0]", "edit.z_layer=0")


def test_artifacts_of_the_lake_are_shown_as_cached(world: World, server: str, tmp_path: Path) -> None:
    """Only the lake is the cache: Prefect stores no result in the lake or at home, and another lake reuses nothing."""
    from prefect.settings import PREFECT_LOCAL_STORAGE_PATH

    spec, home = small(world, tmp_path / "cached.toml"), PREFECT_LOCAL_STORAGE_PATH.value()
    at_home = sorted(home.rglob("*"))
    record = tiny_world.run(spec, tmp_path / "lake", *SMALL)
    stages = {use["stage"] for use in record["uses"]} - {"model"}
    assert set(states(spec, stages).values()) == {"Completed"}
    tiny_world.run(spec, tmp_path / "lake", *SMALL)
    assert set(states(spec, stages).values()) == {"Cached"}
    tiny_world.run(spec, tmp_path / "other", *SMALL)
    assert set(states(spec, stages).values()) == {"Completed"}, "the control"
    assert not (tmp_path / "lake" / "prefect").exists()
    assert sorted(home.rglob("*")) == at_home


def test_task_runs_have_readable_names(world: World, server: str, tmp_path: Path) -> None:
    spec = small(world, tmp_path / "named.toml")
    record = tiny_world.run(spec, tmp_path / "lake", *SMALL, "requests.count=4")
    expected = {use["stage"] for use in record["uses"]} - {"model"}
    assert set(states(spec, expected)) == expected


def test_a_runs_page_has_its_tables_and_curves(reference) -> None:
    """As artifacts of the flow run, with the scores of its summary."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

    names = ("before-after", "batches", "stages", "worst-facts", "curves")
    # Created after the first of three batches, and updated since.
    assert latest("tiny-progress")["tiny-progress"].data == 100.0
    with get_client(sync_client=True) as client:
        wanted = ArtifactFilter(key=ArtifactFilterKey(any_=[f"tiny-{name}" for name in names]))
        found = client.read_artifacts(artifact_filter=wanted)
    mine = {a.key.removeprefix("tiny-"): a for a in found if reference.record["run_id"] in a.description}
    assert set(mine) == set(names)
    assert len({a.flow_run_id for a in mine.values()}) == 1
    table = {row["metric"]: row["after"] for row in json.loads(mine["before-after"].data)}
    after = reference.record["summary"]["after"]
    assert float(table["efficacy success %"].split()[0]) == pytest.approx(after["efficacy"]["success"], rel=1e-3)
    # Three metrics' curves, perplexity, norms, use of the null space, three heat maps, three layers' spectra.
    assert mine["curves"].data.count("data:image/svg+xml;base64,") == 3 + 1 + 1 + 1 + 3 + 3
    assert {row["said"] for row in json.loads(mine["worst-facts"].data)} <= {"True", "False"}


def test_a_page_that_cannot_be_written_fails_no_run(
    world: World, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object) -> None:
        raise ConnectionError("nobody answers")

    monkeypatch.setattr("editflow.flows.edit_model.publish", refuse)
    answer = tiny_world.editflow("run", world.spec, "--lake", tmp_path / "lake", "--set", "requests.count=2")
    assert answer.code == 0
    assert "no tables: nobody answers" in answer.err
    assert "2 facts in 1 batch" in answer.out


def test_a_lost_artifact_is_recomputed(world: World, reference, copied: Path) -> None:
    """A missing payload, and an artifact that is missing with its manifest."""
    for whole in (False, True):
        (*_, lost) = tiny_world.artifacts(copied, "state")
        tiny_world.payload(copied, lost).unlink()
        if whole:
            (tiny_world.payload(copied, lost).parent / "manifest.json").unlink()
        record = tiny_world.run(world.spec, copied)
        assert [use["artifact"] for use in record["uses"] if use["how"] == "created"] == [lost.id]
        assert tiny_world.digests(copied) == tiny_world.digests(reference.lake)


def test_flow_runs_of_dead_processes_are_closed_and_no_others(server: str) -> None:
    from prefect import flow
    from prefect.client.orchestration import get_client
    from prefect.states import Running

    from editflow.flows.orchestration.crashed_runs import HOST, PID, STARTED, mark_crashed

    @flow
    def held() -> None: ...

    mine = {HOST: platform.node(), PID: os.getpid(), STARTED: psutil.Process().create_time()}
    labels: dict[str, dict[str, Any]] = {
        "dead": {**mine, STARTED: mine[STARTED] - 100},  # its process id now belongs to this process
        "mine": mine,
        "elsewhere": {**mine, HOST: "elsewhere", STARTED: 0},
        "somebody's": {},
    }
    with get_client(sync_client=True) as client:
        runs = {name: client.create_flow_run(held, name=name, state=Running()) for name in labels}
        for name, run in runs.items():
            client.update_flow_run_labels(run.id, labels[name])
        assert mark_crashed(client) == ["dead"]
        states = {name: client.read_flow_run(run.id).state_name for name, run in runs.items()}
        for run in runs.values():
            client.delete_flow_run(run.id)
    assert states == {"dead": "Crashed", "mine": "Running", "elsewhere": "Running", "somebody's": "Running"}
