"""A run's two files are written once each; a run whose process is gone has died."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from subprocess import Popen

import pytest

from editflow.storage.errors import DamagedRecord, UnknownRun
from editflow.storage.files import Files
from editflow.storage.records.runs import Runs, Use

START = """
import sys
from editflow.storage.files import Files
from editflow.storage.records.runs import Runs
print(Runs(Files(sys.argv[1])).start("demo", {}).run_id, flush=True)
sys.stdin.read()
"""


def test_a_run_from_start_to_end(tmp_path: Path) -> None:
    runs = Runs(Files(tmp_path))
    record = runs.start("demo", {"seed": 1}, spec_path="demo.toml", environment={"torch": "2"})
    assert runs.get(record.run_id) == record
    assert (record.status, record.pid, runs.is_finished(record.run_id)) == ("running", os.getpid(), False)
    uses = (Use("a" * 64, "spectrum", "created", 1.5), Use("b" * 64, "model", "reused"))
    end = runs.finish(record, "completed", message="fine", state="a" * 64, summary={"edits": 2}, uses=uses)
    assert runs.get(record.run_id) == end
    assert (end.status, end.uses, end.summary) == ("completed", uses, {"edits": 2})
    assert list(runs.all()) == [end]


def test_each_file_is_written_once(tmp_path: Path) -> None:
    runs = Runs(Files(tmp_path))
    record = runs.start("demo", {}, run_id="one")
    with pytest.raises(FileExistsError):
        runs.start("other", {}, run_id="one")
    runs.finish(record, "failed", message="first")
    with pytest.raises(FileExistsError):
        runs.finish(record, "completed")
    assert runs.get("one").message == "first"


def test_a_run_dies_with_its_process(tmp_path: Path, script: Callable[..., "Popen[str]"]) -> None:
    process = script(START, tmp_path)
    assert process.stdout is not None
    run_id = process.stdout.readline().strip()
    assert Runs(Files(tmp_path)).get(run_id).status == "running"
    process.kill()
    process.communicate()
    assert Runs(Files(tmp_path)).get(run_id).status == "died"


def test_a_reused_process_id_does_not_keep_a_run_alive(tmp_path: Path) -> None:
    runs = Runs(Files(tmp_path))
    record = runs.start("demo", {}, run_id="one")
    started = tmp_path / "runs/one/started.json"
    assert runs.get("one").status == "running"
    text = started.read_text().replace(str(record.process_started), str(record.process_started - 100))
    started.write_text(text)
    assert runs.get("one").status == "died"
    started.write_text(text.replace(record.host, "elsewhere"))
    assert runs.get("one") == replace(
        record, host="elsewhere", process_started=record.process_started - 100, status="running"
    )


def test_a_process_id_reused_in_a_restarted_container(tmp_path: Path) -> None:
    """A new process soon gets the id of the dead one; here both are this process."""
    runs = Runs(Files(tmp_path))
    record = runs.start("demo", {}, run_id="one")
    started = tmp_path / "runs/one/started.json"
    whole = started.read_text()
    for seconds, status in ((-10, "died"), (1, "died"), (0, "running")):
        started.write_text(whole.replace(str(record.process_started), str(record.process_started + seconds)))
        assert runs.get("one").status == status


def test_only_runs_of_dead_processes_are_marked_and_only_once(tmp_path: Path) -> None:
    runs = Runs(Files(tmp_path))
    for run_id in ("dead", "elsewhere", "finished", "mine"):
        runs.start("demo", {}, run_id=run_id)
    runs.finish(runs.get("finished"), "completed")
    for run_id, host in (("dead", runs.get("mine").host), ("elsewhere", "elsewhere")):
        started = tmp_path / f"runs/{run_id}/started.json"
        known = json.loads(started.read_text())
        started.write_text(json.dumps({**known, "process_started": known["process_started"] - 100, "host": host}))
    (closed,) = runs.mark_crashed()
    assert (closed.run_id, closed.status, str(closed.pid) in closed.message) == ("dead", "died", True)
    assert runs.get("dead") == closed
    assert runs.is_finished("dead")
    assert runs.mark_crashed() == []
    assert [runs.get(run_id).status for run_id in ("elsewhere", "finished", "mine")] == [
        "running", "completed", "running",
    ]  # fmt: skip


def test_the_error_names_an_unknown_run(tmp_path: Path) -> None:
    with pytest.raises(UnknownRun, match="no run 'nope'"):
        Runs(Files(tmp_path)).get("nope")


@pytest.mark.parametrize("text", ["{", "[]", "{}", "\xff", "[" * 100_000])
@pytest.mark.parametrize("name", ["started.json", "finished.json"])
def test_a_damaged_record_is_reported_and_hides_no_other(tmp_path: Path, name: str, text: str) -> None:
    runs = Runs(Files(tmp_path))
    whole, broken = (runs.finish(runs.start("demo", {}, run_id=run_id), "completed") for run_id in ("one", "two"))
    damaged = tmp_path / "runs/two" / name
    damaged.write_text(text, encoding="latin-1")
    with pytest.raises(DamagedRecord, match=f"^{damaged} is damaged; [^\n]+$"):
        runs.get("two")
    first, second = runs.all()
    assert (first, second.run_id, second.status) == (whole, "two", "damaged")
    assert second.started_at == (broken.started_at if name == "finished.json" else "")
    assert str(damaged) in second.message


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("started.json", "started_at", 5), ("started.json", "spec", []), ("started.json", "pid", "x"),
        ("finished.json", "uses", [{"artifact": 1, "stage": "s", "how": "created"}]), ("finished.json", "summary", 3),
        ("finished.json", "finished_at", None), ("finished.json", "status", "splendid"),
    ],
)  # fmt: skip
def test_a_field_of_a_wrong_type_is_damage(tmp_path: Path, name: str, field: str, value: object) -> None:
    runs = Runs(Files(tmp_path))
    runs.finish(runs.start("demo", {}, run_id="one"), "completed")
    assert runs.get("one").status == "completed"  # the control: it is valid without the change
    damaged = tmp_path / "runs/one" / name
    damaged.write_text(json.dumps(json.loads(damaged.read_text()) | {field: value}))
    with pytest.raises(DamagedRecord):
        runs.get("one")
