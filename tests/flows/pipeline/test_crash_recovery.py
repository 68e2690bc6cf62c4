"""After a kill or a full disk at any write, the next command completes the index and the lake has no faults."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from support.simulated_crashes import Death, Full, Killed, bury, dying
from support.tiny_world import DirectPipeline, World

from editflow.flows.clean import cleared
from editflow.flows.pipeline.pipeline import Pipeline
from editflow.flows.pipeline.tracked_run import run_tracked
from editflow.flows.repair.verify import Subject, faults
from editflow.flows.spec.loading import load_spec
from editflow.flows.spec.run_spec import RunSpec
from editflow.storage.artifacts.kinds import kind
from editflow.storage.artifacts.store import Lake
from editflow.storage.index.catalog import Catalog
from editflow.storage.maintenance import unindexed_artifacts
from editflow.storage.maintenance.audit import Audit
from editflow.storage.maintenance.retention_policy import RetentionRule
from editflow.storage.queries.query import query
from editflow.storage.records.runs import Runs
from editflow.tasks.stages.stage import Stage, Work, perform_and_index

pytestmark = pytest.mark.exhaustive

Step = Callable[[Lake], object]


@dataclass(frozen=True)
class Number:
    n: int


def _drawn(work: Work[Number]) -> pa.Table:
    """Two rows that depend on the recipe; number 2 also makes a second artifact, like keys of a weight change."""
    if work.settings.n == 2:
        work.also[BESIDE.name] = _table("beside")
    return _table(str(work.settings.n))


def _table(text: str) -> pa.Table:
    return pa.table({"i": [0, 1], "template": [text, f"{text} again"]}, schema=kind("contexts").schema)


BESIDE = Stage("beside", "contexts", 1, Number, lambda _work: _table("beside"), ("state",))
DRAWN = Stage("contexts", "contexts", 1, Number, _drawn, ("state",), also=BESIDE)


def edit(spec: RunSpec, pipe: Pipeline) -> dict[str, Any]:
    """Four stages, each made from the one before, with a flush in between; with three facts it fails at the third."""
    state = ""
    for n in range(4):
        parents = {"state": state} if state else {}
        state = pipe.run(DRAWN, Number(n), parents, f"step {n}")
        if n == 1:
            pipe.flush()
        if n == 2 and spec.requests.count == 3:
            raise RuntimeError("the method has no answer")
        if n == 2:
            pipe.run(BESIDE, Number(n), parents, "beside")
    return {"state": state}


@pytest.fixture
def spec(world: World) -> RunSpec:
    return load_spec(world.spec, ["requests.count=4"])


def recorded(spec: RunSpec, work: Callable[[RunSpec, Pipeline], dict[str, Any]]) -> Step:
    return lambda lake: run_tracked(spec, lake, None, lambda _use, _ref: None, work, DirectPipeline)


@pytest.fixture
def run(spec: RunSpec) -> Step:
    return recorded(spec, edit)


@pytest.fixture
def fail(world: World) -> Step:
    def step(lake: Lake) -> None:
        with pytest.raises((RuntimeError, Killed, Full)):
            recorded(load_spec(world.spec, ["requests.count=3"]), edit)(lake)

    return step


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Treat every lake as large: its artifacts are listed only if a run has crashed."""
    monkeypatch.setattr(unindexed_artifacts, "SMALL_BYTES", -1)


@pytest.fixture(autouse=True)
def no_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip fsync for speed; no test here simulates a power failure."""
    monkeypatch.setattr("os.fsync", lambda _handle: None)


def fault_texts(lake: Lake) -> list[str]:
    return [f"{fault.what} {fault.wrong}" for fault in faults(Audit(lake), Subject())]


def killed(step: Step, lake: Lake, at: int, how: type[BaseException] = Killed) -> bool:
    """Run a step that is killed at write number `at`; False if it ended before."""
    death = Death(at, how)
    with dying(death):
        try:
            step(lake)
        except (Killed, Full):
            assert death.over
    bury(lake)
    return death.over


def sql_artifacts(lake: Lake) -> set[tuple[str, str]]:
    """The (id, digest) of every artifact that SQL returns."""
    return {(row["id"], row["digest"]) for row in query(lake, "SELECT id, digest FROM artifacts").to_pylist()}


@pytest.fixture(scope="module")
def killed_lakes(world: World, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """One lake for each write at which its first run was killed. Read only."""
    spec, folder = load_spec(world.spec, ["requests.count=4"]), tmp_path_factory.mktemp("killed_lakes")
    lakes = list[Path]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda _handle: None)
        while True:
            lake = Lake.open(folder / f"lake{len(lakes)}")
            if not killed(recorded(spec, edit), lake, len(lakes) + 1):
                assert len(lakes) > 20, "the control: it writes a lot"
                return lakes
            lakes.append(Path(lake.files.root))


def copy(lake: Path, folder: Path) -> Lake:
    return Lake.open(shutil.copytree(lake, folder / lake.name))


def test_after_a_kill_at_any_write_the_next_run_completes_the_index(
    run: Step, killed_lakes: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alternately in a small and in a large lake."""
    undisturbed = Lake.open(tmp_path / "undisturbed")
    run(undisturbed)
    assert fault_texts(undisturbed) == []
    for at, made in enumerate(killed_lakes):
        monkeypatch.setattr(unindexed_artifacts, "SMALL_BYTES", 2**20 if at % 2 else -1)
        lake = copy(made, tmp_path)
        before = sql_artifacts(lake)
        run(lake)
        assert fault_texts(lake) == [], at
        assert sql_artifacts(lake) == sql_artifacts(undisturbed) >= before
        assert [r.status for r in Runs(lake.files).all()][1:] in ([], ["completed"])


def test_after_a_full_disk_at_any_write_the_next_run_completes_the_index(
    run: Step, tmp_path: Path, large: None
) -> None:
    at = 1
    while killed(run, lake := Lake.open(tmp_path / f"lake{at}"), at, Full):
        run(lake)
        assert fault_texts(lake) == [], at
        at += 5
    assert at > 20, "the control: it writes a lot"


def test_the_run_that_completes_the_index_may_be_killed_too(run: Step, fail: Step, tmp_path: Path, large: None) -> None:
    """One run was killed, another failed on a full disk, and the next run is killed at any write."""
    incomplete = tmp_path / "incomplete"
    killed(run, Lake.open(incomplete), 20)
    killed(fail, Lake.open(incomplete), 12, Full)
    assert len(list(Runs(Lake.open(incomplete).files).all())) == 2
    at = 2
    while killed(run, lake := copy(incomplete, tmp_path / str(at)), at):
        run(lake)
        assert fault_texts(lake) == [], at
        at += 3
    assert at > 8, "the control: completing the index takes some writes"


def test_a_failed_run_leaves_a_complete_index(fail: Step, tmp_path: Path, large: None) -> None:
    """Including the second artifact of a stage."""
    lake = Lake.open(tmp_path / "lake")
    fail(lake)
    assert fault_texts(lake) == []
    assert len(sql_artifacts(lake)) == 4


def test_gc_completes_the_index(killed_lakes: list[Path], tmp_path: Path, large: None) -> None:
    for made in killed_lakes[::6]:
        lake = copy(made, tmp_path)
        cleared(lake, 24, RetentionRule(), delete=False)
        missing = Catalog(lake).missing()
        cleared(lake, 24, RetentionRule(), delete=True)
        assert fault_texts(lake) == []
        assert not Catalog(lake).missing(), f"{made.name}: {missing}"


def test_missing_index_rows_of_a_killed_run_are_no_fault(run: Step, killed_lakes: list[Path], tmp_path: Path) -> None:
    """A killed run has no recorded end, and the run that records it adds the rows. Lost rows are a fault."""
    unfinished = [made for made in killed_lakes if not list(made.glob("runs/*/finished.json"))]
    assert len(unfinished) > 15
    assert [fault_texts(Lake.open(made)) for made in unfinished[::4]] == [[]] * len(unfinished[::4])
    lake = copy(unfinished[-1], tmp_path)
    run(lake)
    log = sorted(Path(lake.files.path("catalog/artifacts/_delta_log")).glob("*.json"))
    log[-1].unlink()
    assert "missing artifacts" in " ".join(fault_texts(lake)), "the control"


def test_a_run_that_reuses_artifacts_of_a_killed_run_adds_their_rows(run: Step, tmp_path: Path, large: None) -> None:
    """In a large lake whose index already has the end of the killed run."""
    lake = Lake.open(tmp_path / "lake")
    killed(run, lake, 20)
    for dead in Runs(lake.files).mark_crashed():
        Catalog(lake).record_run(dead)
    missing = set(Catalog(lake).missing().artifacts)
    assert missing
    assert fault_texts(lake), "the control: the rows are missing"
    run(lake)
    assert fault_texts(lake) == []


def test_artifacts_of_a_killed_run_are_attributed_to_it(run: Step, tmp_path: Path) -> None:
    lake = Lake.open(tmp_path / "lake")
    killed(run, lake, 20)
    (dead,) = Runs(lake.files).ids()
    made = {m.id for m in lake.manifests()}
    run(lake)
    rows = query(lake, "SELECT run_id, artifact FROM uses").to_pylist()
    assert {row["artifact"] for row in rows if row["run_id"] == dead} == made


def test_artifacts_of_running_runs_are_left_alone(run: Step, tmp_path: Path) -> None:
    """Of a run in this process and of a run on another host."""
    lake = Lake.open(tmp_path / "lake")
    run(lake)
    for host in ("here", "elsewhere"):
        record = Runs(lake.files).start("busy", {})
        if host == "elsewhere":
            path = Path(lake.files.path(f"runs/{record.run_id}/started.json"))
            path.write_text(path.read_text().replace(record.host, "elsewhere").replace(f": {record.pid}", ": 1"))
        lake.write("contexts", 1, {"host": host}, {}, _table(host), created_by=record.run_id)
    run(lake)
    assert len(Catalog(lake).missing().artifacts) == 2
    assert fault_texts(lake) == []


def test_a_damaged_index_is_left_for_verify(run: Step, tmp_path: Path) -> None:
    lake = Lake.open(tmp_path / "lake")
    killed(run, lake, 20)
    (file, *_) = Catalog(lake).files("artifacts")
    Path(file).write_bytes(b"PAR1 cut off")
    assert unindexed_artifacts.unindexed(lake, ["ab" * 32]) == []
    run(lake)
    assert "is damaged" in " ".join(fault_texts(lake))
    Catalog(lake).rebuild()
    assert fault_texts(lake) == []


def test_a_lost_index_is_not_completed(run: Step, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = Lake.open(tmp_path / "lake")
    run(lake)
    shutil.rmtree(lake.files.path("catalog"))
    whole = Lake.open(shutil.copytree(lake.files.root, tmp_path / "small"))
    run(whole)
    assert fault_texts(whole) == []
    monkeypatch.setattr(unindexed_artifacts, "MAX_MISSING", 2)
    run(lake)
    assert "missing artifacts" in " ".join(fault_texts(lake))


def test_artifacts_made_outside_of_runs_are_indexed(run: Step, tmp_path: Path) -> None:
    """For example a report: if the process is killed before the row is written, the next request adds it."""
    lake = Lake.open(tmp_path / "lake")
    run(lake)
    number, stopped = 0, True
    while stopped:
        number += 1
        stopped = killed(lambda it, n=number: perform_and_index(DRAWN, it, Number(10 + n), {}, {}), lake, number)
        perform_and_index(DRAWN, lake, Number(10 + number), {}, {})
        assert fault_texts(lake) == []
    assert number > 3


def test_a_crashed_run_is_reported_once(run: Step, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lake = Lake.open(tmp_path / "lake")
    killed(run, lake, 12)
    for count in (1, 0):
        run(lake)
        assert capsys.readouterr().err.count("had died") == count


def test_a_record_under_a_foreign_name_adds_no_row(run: Step, tmp_path: Path) -> None:
    """A copied record adds no row, however many runs follow."""
    lake = Lake.open(tmp_path / "lake")
    run(lake)
    (done,) = Runs(lake.files).all()
    shutil.copytree(lake.files.path(f"runs/{done.run_id}"), lake.files.path("runs/20200101T000000-abcdef"))
    for _ in range(3):
        run(lake)
    rows = Catalog(lake)._select("run_id", "runs WHERE finished_at IS NOT NULL")
    whole = {record.run_id for record in Runs(lake.files).all() if record.status != "damaged"}
    assert sorted(row[0] for row in rows) == sorted(whole)
    assert len(whole) == 4


def test_completing_the_index_is_cheap_in_a_large_lake(lake_of_many: Lake, run: Step) -> None:
    """Artifacts are listed only after a crash."""
    seen = list[str]()
    inner = Lake.ids

    def ids(self: Lake) -> Any:
        seen.append("listed")
        return inner(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Lake, "ids", ids)
        patch.setattr(unindexed_artifacts, "SMALL_BYTES", -1)
        run(lake_of_many)
        assert seen == []
        killed(run, lake_of_many, 4)
        run(lake_of_many)
        assert seen == ["listed"], "the control"


@pytest.fixture
def lake_of_many(run: Step, tmp_path: Path) -> Lake:
    lake = Lake.open(tmp_path / "many")
    run(lake)
    return lake
