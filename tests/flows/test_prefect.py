"""What Prefect keeps and shows: results under the artifact's id, names of task runs."""

from __future__ import annotations

import json
import os
import platform
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import tiny_world
from prefect_pages import latest
from tiny_world import World


def test_the_cache_key_is_the_artifacts_id(reference) -> None:
    stored = {path.name: json.loads(path.read_text()) for path in (reference.lake / "prefect").iterdir()}
    assert set(stored) == set(tiny_world.digests(reference.lake)) - {
        # The model is pinned before there are stages, keys are written beside the weight change.
        *(m.id for m in tiny_world.artifacts(reference.lake, "model")),
    }
    for id_, record in stored.items():
        assert record["metadata"]["storage_key"].endswith(id_)
        assert json.loads(record["result"])["id"] == id_
        assert len(record["result"]) < 1000  # a reference, never a tensor


def test_results_are_json_and_never_pickle(reference) -> None:
    for path in (reference.lake / "prefect").iterdir():
        assert json.loads(path.read_text())["metadata"]["serializer"]["type"] == "json"


def test_task_runs_are_named_for_people(world: World, server: str, tmp_path: Path) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterName

    spec = tmp_path / "named.toml"
    spec.write_text(world.spec.read_text().replace('"facts.jsonl"', f'"{world.facts}"'))
    record = tiny_world.run(spec, tmp_path / "lake", "requests.count=4", "edit.layers=[0]", "edit.z_layer=0")
    expected = {use["stage"] for use in record["uses"]} - {"model"}
    names: set[str] = set()
    with get_client(sync_client=True) as client:
        wanted = FlowRunFilter(name=FlowRunFilterName(any_=[str(spec)]))
        for _ in range(150):  # the server records task runs a moment later
            names = {task_run.name for task_run in client.read_task_runs(flow_run_filter=wanted, limit=200)}
            if names >= expected:
                break
            time.sleep(0.2)
    assert names == expected


def test_a_runs_page_has_its_tables_and_curves(reference) -> None:
    """As artifacts of the flow run, with the figures of its summary."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

    names = ("before-after", "batches", "stages", "worst-facts", "curves")
    # Told after the first of three batches, and moved since.
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

    monkeypatch.setattr("flows.edit_model.publish", refuse)
    answer = tiny_world.editflow("run", world.spec, "--lake", tmp_path / "lake", "--set", "requests.count=2")
    assert answer.code == 0
    assert "no tables: nobody answers" in answer.err
    assert "2 facts in 1 batch" in answer.out


def test_a_lost_payload_is_not_served_from_prefects_cache(world: World, reference, copied: Path) -> None:
    (*_, lost) = tiny_world.artifacts(copied, "state")
    assert (copied / "prefect" / lost.id).is_file()
    tiny_world.payload(copied, lost).unlink()
    record = tiny_world.run(world.spec, copied)
    assert [use["artifact"] for use in record["uses"] if use["how"] == "created"] == [lost.id]
    assert tiny_world.payload(copied, lost).is_file()


def test_a_lost_artifact_is_not_served_from_prefects_cache(world: World, reference, copied: Path) -> None:
    """Prefect's answer for an artifact that is gone altogether, manifest and all."""
    (*_, lost) = tiny_world.artifacts(copied, "state")
    tiny_world.payload(copied, lost).unlink()
    (tiny_world.payload(copied, lost).parent / "manifest.json").unlink()
    tiny_world.run(world.spec, copied)
    assert tiny_world.digests(copied) == tiny_world.digests(reference.lake)


def test_prefects_cache_may_be_deleted_or_damaged(world: World, reference, copied: Path) -> None:
    """It is a convenience: the lake alone decides what is there."""
    for n, path in enumerate(sorted((copied / "prefect").iterdir())):
        path.unlink() if n % 2 else path.write_text("{")
    record = tiny_world.run(world.spec, copied)
    assert {use["how"] for use in record["uses"]} == {"reused"}
    assert record["state"] == reference.record["state"]


def test_flow_runs_of_dead_processes_are_closed_and_no_others(server: str) -> None:
    from prefect import flow
    from prefect.client.orchestration import get_client
    from prefect.states import Running

    from flows.owners import HOST, PID, STARTED, close_dead

    @flow
    def held() -> None: ...

    mine = {HOST: platform.node(), PID: os.getpid(), STARTED: psutil.Process().create_time()}
    labels: dict[str, dict[str, Any]] = {
        "dead": {**mine, STARTED: mine[STARTED] - 100},  # its number was given to this process
        "mine": mine,
        "elsewhere": {**mine, HOST: "elsewhere", STARTED: 0},
        "somebody's": {},
    }
    with get_client(sync_client=True) as client:
        runs = {name: client.create_flow_run(held, name=name, state=Running()) for name in labels}
        for name, run in runs.items():
            client.update_flow_run_labels(run.id, labels[name])
        assert close_dead(client) == ["dead"]
        states = {name: client.read_flow_run(run.id).state_name for name, run in runs.items()}
        for run in runs.values():
            client.delete_flow_run(run.id)
    assert states == {"dead": "Crashed", "mine": "Running", "elsewhere": "Running", "somebody's": "Running"}
