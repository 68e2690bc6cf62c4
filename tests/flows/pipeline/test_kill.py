"""A run killed at any moment loses at most its current stage, and the next run ends like an undisturbed one."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from support import tiny_world
from support.tiny_world import World

from editflow.flows.orchestration import temporary_server as server
from editflow.storage.artifacts.store import Lake

# Runs `editflow` and kills its whole process group at a chosen moment of the n-th write of an artifact kind.
KILLER = """
import os, signal, sys
from editflow.flows.cli.main import main
from editflow.storage.files import Files
from editflow.storage.artifacts.store import Lake

moment, kind, wanted = sys.argv[1], sys.argv[2], int(sys.argv[3])
writes = 0

def die():
    os.killpg(0, signal.SIGKILL)

def writing(self, name, *args, inner=Lake.write, **kwargs):
    global writes
    writes += name == kind
    ours = name == kind and writes == wanted
    Lake.ours = ours
    if ours and moment == "before":
        die()
    ref = inner(self, name, *args, **kwargs)
    if ours and moment == "after":
        die()
    return ref

def creating(self, name, data, inner=Files.create):
    if moment == "between" and getattr(Lake, "ours", False) and name.endswith("manifest.json"):
        die()
    return inner(self, name, data)

Lake.write, Files.create = writing, creating
main(sys.argv[4:])
"""

SMOKE = Path(__file__).parents[3] / "specs" / "smoke.toml"

EDITFLOW = "import sys; from editflow.flows.cli.main import main; main(sys.argv[1:])"

MOMENTS = [
    ("after", "target_values", 2),  # in the middle of the second batch
    ("after", "keys", 2),  # the keys are stored, but not the weight change that they belong to
    ("between", "weight_change", 2),  # the payload is written, but not the manifest that commits it
    ("before", "state", 3),  # everything of the last batch is stored except its state
]


def start(command: list[str], folder: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start a process in its own group; its output goes to a file, because a full pipe would block it."""
    with (folder / "output.txt").open("wb") as output:
        return subprocess.Popen(
            command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, env=environment, start_new_session=True
        )


def continued(spec: Path, lake: Path, reference: Any) -> dict[str, Any]:
    """Run again to the end and check the lake; returns the second run's record."""
    store = Lake.open(lake)
    before = {m.id: m for m in store.manifests()}
    records = tiny_world.editflow("runs", "--json", "--lake", lake).json
    assert [record["status"] for record in records] == ["died"]
    second = tiny_world.run(spec, lake)
    after = {m.id: m for m in store.manifests()}
    # Nothing that exists is created again …
    assert {id_: after[id_] for id_ in before} == before
    assert {m.created_by for m in before.values()} == {records[0]["run"]}
    uses = {use["artifact"]: use["how"] for use in second["uses"]}
    assert {uses[id_] for id_ in before} <= {"reused"}
    # … and the result equals that of an undisturbed run: states with weight digests, evaluations, everything.
    assert second["state"] == reference.record["state"]
    assert second["summary"] == reference.record["summary"]
    assert tiny_world.digests(lake) == tiny_world.digests(reference.lake)
    statuses = [record["status"] for record in tiny_world.editflow("runs", "--json", "--lake", lake).json]
    assert statuses == ["completed", "died"]
    return second


def killed(spec: Path, moment: str, kind: str, number: int, folder: Path, environment: dict[str, str]) -> Path:
    """A lake with a run of the spec that was killed at this moment."""
    lake = folder / "lake"
    arguments = [moment, kind, str(number), "run", str(spec), "--lake", str(lake)]
    process = start([sys.executable, "-c", KILLER, *arguments], folder, environment)
    code = process.wait(timeout=600)
    assert code == -signal.SIGKILL, (folder / "output.txt").read_text()
    return lake


@pytest.mark.exhaustive
@pytest.mark.parametrize(("moment", "kind", "number"), MOMENTS)
def test_a_run_killed_at_any_moment_continues(
    world: World, reference, environment: dict[str, str], tmp_path: Path, moment: str, kind: str, number: int
) -> None:
    lake = killed(world.spec, moment, kind, number, tmp_path, environment)
    there = len(tiny_world.artifacts(lake, kind))
    if kind != "weight_change":  # checkpoints are of that kind too
        assert there == (number if moment == "after" else number - 1)
    if kind == "keys":
        assert len(tiny_world.artifacts(lake, "weight_change")) == number - 1
    continued(world.spec, lake, reference)


@pytest.mark.demo
@pytest.mark.timeout(1800)
def test_a_run_of_the_default_model_killed_in_a_batch_continues(
    server: str, environment: dict[str, str], tmp_path: Path
) -> None:
    """The smoke spec on the real model, killed in its second batch; every artifact equals an undisturbed one."""
    del server
    whole = tmp_path / "whole"
    reference = SimpleNamespace(lake=whole, record=tiny_world.run(SMOKE, whole))
    lake = killed(SMOKE, "after", "target_values", 2, tmp_path, environment)
    second = continued(SMOKE, lake, reference)
    again = [use["stage"] for use in second["uses"] if use["how"] == "created"]
    assert [stage for stage in again if stage.startswith("target values")] == []
    assert "weight change 2" in again


def test_a_run_killed_by_another_process_continues(
    world: World, reference, environment: dict[str, str], tmp_path: Path
) -> None:
    lake = tmp_path / "lake"
    process = start(
        [sys.executable, "-c", EDITFLOW, "run", str(world.spec), "--lake", str(lake)], tmp_path, environment
    )
    try:
        wait_for(lambda: bool(tiny_world.artifacts(lake, "target_values")) if lake.is_dir() else False, process)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    finished = tiny_world.artifacts(lake, "perplexity")
    assert len(finished) == 1, "the run ended before it could be killed"
    continued(world.spec, lake, reference)


def wait_for(happened: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    while not happened():
        assert process.poll() is None, "the run ended too early"
        time.sleep(0.002)


def test_remains_of_a_killed_write_are_never_read(copied: Path) -> None:
    """A payload without its manifest or a half-written file is not an artifact."""
    store = Lake.open(copied)
    manifest = tiny_world.artifacts(copied, "keys")[0]
    folder = tiny_world.payload(copied, manifest).parent
    (folder / "manifest.json").unlink()
    (folder / ".tmp-123").write_bytes(b"half")
    assert store.find(manifest.id) is None
    assert manifest.id not in {m.id for m in store.manifests()}
    answer = tiny_world.editflow("query", "--json", "--lake", copied, "SELECT id FROM artifacts")
    assert answer.code == 0
    ref = store.write("keys", manifest.version, manifest.spec, manifest.parents, _table(folder))
    assert replace(ref, bytes=0) == replace(manifest.ref, bytes=0)


@pytest.fixture
def sleeping() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """`sleeping(word, owner)`: a process that sleeps, with the word on its command line and the owner's pid."""
    processes: list[subprocess.Popen[bytes]] = []

    def begin(word: str, owner: str | None) -> subprocess.Popen[bytes]:
        environment = {name: value for name, value in os.environ.items() if name != server.OWNER}
        if owner is not None:
            environment[server.OWNER] = owner
        command = [sys.executable, "-c", "import time; time.sleep(600)", word]
        processes.append(subprocess.Popen(command, env=environment))
        return processes[-1]

    yield begin
    for process in processes:
        process.kill()
        process.wait()


def test_servers_of_killed_runs_are_ended_and_no_others(
    sleeping: Callable[..., subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    here = platform.node()
    left_behind = sleeping("prefect.server.api", f"{gone.pid}@{here}")
    others = [
        sleeping("prefect.server.api", f"{os.getpid()}@{here}"),  # its run is still running
        sleeping("prefect.server.api", None),  # a user's own server, not a run's
        sleeping("prefect.server.api", f"{gone.pid}@elsewhere"),  # of another container, whose pids mean nothing here
        sleeping("something-else", f"{gone.pid}@{here}"),  # not a server
    ]
    ours = {process.pid for process in (left_behind, *others)}
    every = psutil.process_iter
    monkeypatch.setattr(psutil, "process_iter", lambda attrs: (p for p in every(attrs) if p.pid in ours))
    assert server.reap() == 1
    assert left_behind.wait(timeout=60) == -signal.SIGTERM
    assert server.reap() == 0
    assert [process.poll() for process in others] == [None] * len(others)


def _table(folder: Path) -> Any:
    from pyarrow import parquet

    return parquet.read_table(next(folder.glob("payload-*.parquet")))
