"""With a changing clock or several machines at one lake, nothing is lost and no machine closes another's run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

import pytest
from support import tiny_world
from support.file_systems import elsewhere
from support.hostile_cases.good import SMALL
from support.hostile_cases.offline import without_prefect
from support.tiny_world import World, editflow

from editflow.storage.artifacts.store import Lake
from editflow.storage.records.runs import Runs
from editflow.tasks.models.model_identity import open_model

pytestmark = pytest.mark.exhaustive

ROOT = Path(__file__).parents[3]
SETTINGS = [part for setting in SMALL for part in ("--set", setting)]
OTHER = [*SETTINGS, "--set", "target_values.steps=4"]
CLOCKS = (
    "editflow.storage.records.runs",
    "editflow.storage.json_records",
    "editflow.storage.maintenance.garbage_collection",
)
EDITFLOW = "import sys; from editflow.flows.cli.main import main; main(sys.argv[1:])"


def set_clock(patch: pytest.MonkeyPatch, days: float) -> None:
    """Shift the time of this process."""

    class Shifted(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Shifted:
            return super().now(tz) + timedelta(days=days)

    real = time.time
    for module in CLOCKS:
        patch.setattr(f"{module}.datetime", Shifted)
    patch.setattr("editflow.storage.maintenance.orphans.time", _Time(lambda: real() + 86_400 * days))
    patch.setattr("editflow.storage.index.delta_log.time", _Time(lambda: real() + 86_400 * days))


class _Time:
    """The module `time` with another `time()`."""

    def __init__(self, now: object) -> None:
        self.time = now

    def __getattr__(self, name: str) -> object:
        return getattr(time, name)


def run(world: World, lake: Path, settings: list[str]) -> None:
    open_model.cache_clear()
    answer = editflow("run", world.spec, "--lake", lake, *settings)
    assert answer.code == 0, answer.err


def test_runs_survive_a_clock_that_is_set_back_and_forth(world: World, tmp_path: Path) -> None:
    """Runs dated in the future and in the past are listed and verified, and gc removes nothing that a run needs."""
    lake, quiet = tmp_path / "lake", tmp_path / "quiet"
    with pytest.MonkeyPatch.context() as patch:
        without_prefect(patch)
        for settings in (SETTINGS, OTHER):
            run(world, quiet, settings)
        for days, settings in ((400, SETTINGS), (-400, OTHER), (0, SETTINGS), (20_000, OTHER)):
            with pytest.MonkeyPatch.context() as clock:
                set_clock(clock, days)
                run(world, lake, settings)
                assert editflow("verify", "--lake", lake).code == 0
                for words in (["gc", "--delete", "--hours", "1"], ["gc", "--delete", "--keep-runs", "9"]):
                    assert editflow(*words, "--lake", lake).code == 0
    assert tiny_world.digests(lake) == tiny_world.digests(quiet)
    assert [row["status"] for row in editflow("runs", "--json", "--lake", lake).json] == ["completed"] * 4
    audit = editflow("verify", "--lake", lake)
    assert audit.code == 0, audit.out
    years = {record.started_at[:4] for record in Runs(Lake.open(lake).files).all()}
    assert len(years) == 4, "the control: the clock changed each time"


def test_a_run_of_another_host_is_left_open(world: World, tmp_path: Path) -> None:
    """Its process is not visible here, whatever its id; a crashed run of this host is closed."""
    lake = tmp_path / "lake"
    with pytest.MonkeyPatch.context() as patch:
        without_prefect(patch)
        run(world, lake, SETTINGS)
        runs = Runs(Lake.open(lake).files)
        with pytest.MonkeyPatch.context() as away:
            away.setattr("platform.node", lambda: "elsewhere")
            other = runs.start("other", {})
        gone = runs.start("gone", {})
        for record, pid in ((other, os.getpid()), (gone, 2**22 + 5)):
            path = lake / "runs" / record.run_id / "started.json"
            path.write_text(path.read_text().replace(f'"pid": {record.pid}', f'"pid": {pid}'))
        run(world, lake, OTHER)
    status = {record.name: record.status for record in runs.all()}
    assert status["gone"] == "died"
    assert status["other"] == "running"
    assert not runs.is_finished(other.run_id)
    assert runs.is_finished(gone.run_id)
    assert editflow("verify", "--lake", lake).code == 0


def begun(
    host: str, world: World, lake: Path, settings: list[str], environment: dict[str, str]
) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", EDITFLOW, "run", str(world.spec), "--lake", str(lake), *settings]
    with (lake.parent / f"{host}.txt").open("ab") as out:
        return subprocess.Popen(
            elsewhere(host, command), stdout=out, stderr=out, stdin=subprocess.DEVNULL,
            env={**environment, "PYTHONPATH": str(ROOT)}, cwd=lake.parent,
        )  # fmt: skip


@pytest.mark.soak
def test_three_machines_share_one_lake(world: World, environment: dict[str, str], tmp_path: Path) -> None:
    """Two run at the same time; a third crashes, which only its own host can detect."""
    lake, quiet = tmp_path / "lake", tmp_path / "quiet"
    with pytest.MonkeyPatch.context() as patch:
        without_prefect(patch)
        for settings in (SETTINGS, OTHER):
            run(world, quiet, settings)
    third = begun("three", world, lake, SETTINGS, environment)
    while third.poll() is None and len(list(lake.glob("artifacts/*/*/manifest.json"))) < 5:
        time.sleep(0.01)
    third.send_signal(signal.SIGKILL)
    third.wait()
    pair = [begun(host, world, lake, OTHER, environment) for host in ("one", "two")]
    assert [process.wait(timeout=600) for process in pair] == [0, 0], _said(tmp_path)
    runs = Runs(Lake.open(lake).files)
    assert {record.host: record.status for record in runs.all()} == {
        "one": "completed",
        "two": "completed",
        "three": "running",
    }
    assert begun("three", world, lake, SETTINGS, environment).wait(timeout=600) == 0, _said(tmp_path)
    assert sorted(record.status for record in runs.all() if record.host == "three") == ["completed", "died"]
    assert tiny_world.digests(lake) == tiny_world.digests(quiet)
    assert editflow("verify", "--lake", lake).code == 0
    print("\nthree hosts by namespaces of this machine: two at once, one killed; nothing lost")


def _said(folder: Path) -> str:
    return "".join(path.read_text()[-1_500:] for path in folder.glob("*.txt"))
