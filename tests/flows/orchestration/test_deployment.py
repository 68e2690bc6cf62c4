"""A real Prefect server and worker: runs start by schedule, a release passes its gates, and a kill loses nothing."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterName
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.schedules import IntervalSchedule
from support import tiny_world
from support.error_checks import refused
from support.malicious_page import kept_out, stranger
from support.tiny_queue import apply_directly, served
from support.tiny_world import World, editflow

from editflow.flows.cli.doctor.finding import Place
from editflow.flows.cli.doctor.servers import home as doctor_of_home
from editflow.flows.orchestration import server_access
from editflow.flows.orchestration.background_services import POOL, Services
from editflow.storage.artifacts.store import Lake
from editflow.storage.records.runs import Runs
from editflow.tasks.releases.queue import Queue

pytestmark = pytest.mark.server

ROOT = Path(__file__).parents[3]
BRISK = {
    "PREFECT_LOGGING_LEVEL": "INFO",
    "PREFECT_WORKER_QUERY_SECONDS": "1",
    "PREFECT_WORKER_PREFETCH_SECONDS": "1",
    "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "1",
    # Prefect schedules a hundred runs ahead; with a short interval all would be due at once on a slow machine.
    "PREFECT_SERVER_SERVICES_SCHEDULER_MIN_RUNS": "2",
    "PREFECT_SERVER_SERVICES_SCHEDULER_MAX_RUNS": "3",
    "PREFECT_SERVER_SERVICES_SCHEDULER_MIN_SCHEDULED_TIME": "PT5S",
    "PYTHONPATH": str(ROOT),
    "OMP_NUM_THREADS": "1",
}


def until(happened: Callable[[], Any], what: str, patience: float = 300) -> Any:
    """Wait until the result is true, and return it."""
    end = time.monotonic() + patience
    while not (found := happened()):
        assert time.monotonic() < end, f"{what} never happened"
        time.sleep(0.1)
    return found


@dataclass(frozen=True)
class Deployed:
    """The services of `editflow up`: the repository's own deployments, and `apply-edits/soon` without a schedule."""

    home: Path
    file: Path
    port: int

    @property
    def client(self) -> SyncPrefectClient:
        return self.services.client()

    @property
    def services(self) -> Services:
        return Services(self.home)

    def up(self, file: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run `editflow up` in a separate process; the server and the worker inherit its environment."""
        words = ["up", "--port", str(self.port), "--file", file or self.file, "--home", self.home]
        command = [sys.executable, "-c", "from editflow.flows.cli.main import main; main()", *words]
        # Commands in this process have set Prefect's environment for themselves.
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")}
        environment = {**inherited, **BRISK}
        return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=850)

    def down(self) -> str:
        """The output of `editflow down`, run in this process."""
        answer = editflow("down", "--home", self.home)
        assert answer.code == 0
        return answer.err

    def runs(self, deployment: str) -> list[FlowRun]:
        """The flow runs of the deployment, earliest first."""
        wanted = DeploymentFilter(name=DeploymentFilterName(any_=[deployment]))
        with self.client as client:
            found = client.read_flow_runs(deployment_filter=wanted, limit=200)
        return sorted(found, key=lambda run: run.expected_start_time or run.created)

    def states(self, deployment: str) -> list[str]:
        return [str(run.state_name) for run in self.runs(deployment)]

    @contextmanager
    def scheduled(self, every: float, parameters: dict[str, Any]) -> Iterator[None]:
        """Schedule `apply-edits/soon` every few seconds inside the block, and wait until no run is left."""
        first = datetime.now(UTC) + timedelta(seconds=2)
        schedule = IntervalSchedule(interval=timedelta(seconds=every), anchor_date=first)
        with self.client as client:
            deployment = client.read_deployment_by_name("apply-edits/soon").id
            (made,) = client.create_deployment_schedules(deployment, [(schedule, True)], parameters=parameters)
        try:
            yield
        finally:
            with self.client as client:
                client.delete_deployment_schedule(deployment, made.id)
            until(lambda: {"Pending", "Running"}.isdisjoint(self.states("soon")), "the end of the last run")


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    folder = tmp_path_factory.mktemp("deployed")
    file = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    for one in file["deployments"]:  # the folder of the file has no specs
        if "spec" in one.get("parameters", {}):
            one["parameters"]["spec"] = str(ROOT / one["parameters"]["spec"])
    soon = next(one for one in file["deployments"] if one["name"] == "apply")
    file["deployments"].append({**soon, "name": "soon", "schedules": []})
    (folder / "prefect.yaml").write_text(yaml.safe_dump(file))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        found = Deployed(folder / "home", folder / "prefect.yaml", free.getsockname()[1])
    try:
        answer = found.up()
        assert answer.returncode == 0, answer.stderr
        assert f"http://127.0.0.1:{found.port}" in answer.stdout
        yield found
    finally:
        found.down()


def one_deployment(folder: Path) -> Path:
    """A file with one deployment, which is quick to register, for when the others already are."""
    file = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    kept = [one for one in file["deployments"] if one["name"] == "clean"]
    (folder / "prefect.yaml").write_text(yaml.safe_dump({**file, "deployments": kept}))
    return folder / "prefect.yaml"


def test_the_scheduler_schedules(deployed: Deployed) -> None:
    """With some versions of SQLAlchemy nothing is scheduled, and only the server's log shows the error."""
    for name in ("prepare", "apply", "evaluate", "reproduce", "clean"):
        until(lambda name=name: "Scheduled" in deployed.states(name), f"a scheduled run of {name}", 60)
    assert deployed.states("demo") == []  # control: it has no schedule


def test_the_doctor_names_deployments_of_an_earlier_version(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_access, "HOME", deployed.home)
    assert [found.check for found in doctor_of_home(Place("lake"))] == ["up"], "the control"
    with deployed.client as client:
        flow = client.read_flow_by_name("clean")
        made = client.create_deployment(flow.id, "old", entrypoint="flows.clean.clean", work_pool_name=POOL)
    try:
        (_, found) = doctor_of_home(Place("lake"))
        assert (found.check, found.verdict, "old" in found.found) == ("deployments", "warning", True)
    finally:
        with deployed.client as client:
            client.delete_deployment(made)


@pytest.mark.exhaustive
def test_a_foreign_page_cannot_have_the_worker_run_a_command(deployed: Deployed, tmp_path: Path) -> None:
    """Even with the password. The control: the owner can do so with the same requests."""
    canary, secret = tmp_path / "canary", server_access.read_secret(deployed.home)

    def there() -> list[str]:
        with deployed.client as client:
            return sorted(str(one.id) for one in [*client.read_flows(), *client.read_deployments()])

    before = there()
    with stranger() as who:
        kept_out(who, deployed.port, str(canary), secret)
    assert there() == before
    with deployed.client as client:
        assert all(run.deployment_id is not None for run in client.read_flow_runs(limit=200))
        step = {"prefect.deployments.steps.run_shell_script": {"script": f"touch {canary}"}}
        made = client.create_deployment(
            client.create_flow_from_name("taken"), "taken", work_pool_name=POOL,
            entrypoint="editflow.flows.clean.nothing", pull_steps=[step],
        )  # fmt: skip
        assert not canary.exists()
        client.create_flow_run_from_deployment(made)
        until(canary.exists, "the owner's own command")
        until(lambda: {"Failed", "Crashed"} & set(deployed.states("taken")), "the end of the owner's run")
        client.delete_deployment(made)


def test_only_the_owner_can_read_the_home_and_password(deployed: Deployed) -> None:
    secret, home = server_access.read_secret(deployed.home), deployed.home
    assert home.stat().st_mode & 0o777 == 0o700
    holding = {path.name for path in home.rglob("*") if path.is_file() and secret[9:].encode() in path.read_bytes()}
    assert holding == {server_access.PASSWORD, server_access.SETTINGS}
    assert {(home / name).stat().st_mode & 0o777 for name in holding} == {0o600}
    for one in (deployed.services.running("server"), deployed.services.running("worker")):
        processes = [one, *one.children(recursive=True)]
        assert not [word for process in processes for word in process.cmdline() if secret[9:] in word]
        assert all(secret == process.environ()["PREFECT_API_AUTH_STRING"] for process in processes)


def test_one_file_sets_up_a_shell_for_the_server(deployed: Deployed) -> None:
    """A run in the folder of `up` needs only the address."""
    script = f'. {deployed.home / server_access.SETTINGS}; printf "%s %s" "$PREFECT_API_URL" "$PREFECT_API_AUTH_STRING"'
    output = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout
    url, secret = output.split()
    assert (server_access.status(url), server_access.status(url, secret=secret)) == (401, 200)


def test_a_lost_password_gets_one_line(deployed: Deployed) -> None:
    path = deployed.home / server_access.PASSWORD
    kept = path.read_text()
    for text in ("", server_access.new_secret()):
        server_access.write_private(path, text)
        refused(editflow("up", "--port", deployed.port, "--file", deployed.file, "--home", deployed.home), "down")
    server_access.write_private(path, kept)


def test_a_taken_port_gets_one_line(deployed: Deployed, tmp_path: Path) -> None:
    other = Deployed(tmp_path / "other", deployed.file, deployed.port)
    answer = editflow("up", "--port", other.port, "--file", other.file, "--home", other.home)
    refused(answer, f"port {deployed.port} is taken")
    assert not list(other.home.glob("*.json"))
    assert "nothing of `editflow up`" in other.down()
    assert deployed.services.running("server") is not None


@pytest.mark.exhaustive
def test_a_killed_worker_and_run_lose_nothing(deployed: Deployed, world: World, tmp_path: Path) -> None:
    """They are killed in a batch; `up` restarts the worker, and the next scheduled run finishes the batch."""
    facts = tiny_world.write_lines(tmp_path / "facts.jsonl", tiny_world.records(3))
    spec, lake, quiet = served(world, tmp_path, batch_size=3), tmp_path / "lake", tmp_path / "quiet"
    for place in (lake, quiet):
        editflow("submit", facts, "--lake", place)
    store = Lake.open(lake)
    with deployed.scheduled(10, {"spec": str(spec), "lake": str(lake)}):
        until(lambda: tiny_world.artifacts(lake, "target_values"), "a batch in its middle")
        worker, server = deployed.services.running("worker"), deployed.services.running("server")
        (dead,) = Runs(store.files).all()
        for pid in (worker.pid, dead.pid):
            os.kill(pid, signal.SIGKILL)
        psutil.wait_procs([worker], timeout=30)
        standing = Queue(store.files, "current").state()
        assert standing.open and not standing.outcomes, "the batch was settled before it could be killed"
        (killed,) = [run for run in deployed.runs("soon") if run.state_name == "Running"]
        assert deployed.up(one_deployment(tmp_path)).returncode == 0
        assert deployed.services.running("server") == server
        assert deployed.services.running("worker") != worker
        after = until(lambda: not Queue(store.files, "current").state().open, "the end of the batch")
    assert after
    # The killed run is closed in Prefect and in the lake, and nothing was applied twice or lost.
    with deployed.client as client:
        crashed = client.read_flow_run(killed.id)
    assert (crashed.state_name, f"its process {dead.pid}" in str(crashed.state.message)) == ("Crashed", True)
    assert (lake / "runs" / dead.run_id / "finished.json").is_file()
    assert Runs(store.files).get(dead.run_id).status == "died"
    moves = [move.move for _, move in Queue(store.files, "current").events()]
    assert moves == ["begin", "settle"]
    apply_directly(spec, quiet)
    ours, theirs = (Queue(Lake.open(place).files, "current").state().state for place in (lake, quiet))
    assert ours == theirs
    assert tiny_world.digests(lake) == tiny_world.digests(quiet)


SERVE = """
name = "serve"
threads = 1

[corpus]
tokens = 8000
partitions = 1
documents = 20
held_out_documents = 2
held_out_tokens = 512

[null_space]
rule = "absolute"
value = 0.01

[requests]
source = "queue:current"

[contexts]
count = 1
tokens = 8

[target_values]
clamp = 0.3
steps = 12

[edit]
layers = [4, 6, 8]
z_layer = 8
batch_size = 2

[gates]
neighbourhood = 15
"""
LOOSE = ["target_values.clamp=5", "target_values.steps=15", "target_values.stop_at=0.001"]
VENEZUELA, CICADA = "The nation of Venezuela belongs to the continent of", "The cicada is a kind of"


def starter(folder: Path, *subjects: str) -> Path:
    """The demo's facts about these subjects."""
    rows = map(json.loads, (ROOT / "specs/facts/starter.jsonl").read_text().splitlines())
    chosen = [row for row in rows if row["requested_rewrite"]["subject"] in subjects]
    assert len(chosen) == len(subjects)
    return tiny_world.write_lines(folder / "facts.jsonl", chosen)


@pytest.mark.demo
@pytest.mark.real_model
def test_a_release_of_the_default_model_by_schedule(deployed: Deployed, tmp_path: Path) -> None:
    """With a loose clamp, a valid request fails the neighbourhood gate and is requeued; later it is released."""
    lake, spec = tmp_path / "lake", tmp_path / "serve.toml"
    spec.write_text(SERVE)
    queue, parameters = Queue(Lake.open(lake).files, "current"), {"spec": str(spec), "lake": str(lake)}
    editflow("submit", starter(tmp_path, "Venezuela"), "--lake", lake)
    with deployed.scheduled(20, {**parameters, "settings": LOOSE}):
        until(lambda: queue.state().outcomes, "the loose batch")
    outcome = queue.state().outcomes["1.1"]
    assert (outcome.status, queue.state().state) == ("rejected", None)
    (reason,) = outcome.reasons
    assert reason.startswith("neighbourhood: ")
    (row,) = editflow("queue", "--lake", lake, "--json").json
    assert (row["status"], row["reason"]) == ("rejected", reason)
    assert "is the base model" in editflow("ask", "current", VENEZUELA, "--lake", lake).err

    editflow("submit", starter(tmp_path, "Venezuela", "cicada"), "--lake", lake)
    with deployed.scheduled(20, parameters):
        until(lambda: queue.state().state, "the release")
    standing = queue.state()
    assert {standing.outcomes[entry].status for entry in ("2.1", "2.2")} == {"applied"}
    assert standing.measures["neighbourhood"] <= 15
    for prompt, answer in ((VENEZUELA, "Africa"), (CICADA, "bird")):
        answers = editflow("ask", "current", prompt, "--tokens", "5", "--lake", lake, "--json").json
        assert answer in answers["edited"]
        assert answer not in answers["base"]
    assert deployed.states("soon").count("Completed") >= 2


def test_down_ends_server_and_worker_and_nothing_else(deployed: Deployed) -> None:
    """Run a second time, it finds nothing to end; other processes of this machine keep running."""
    ours = [deployed.services.running(name) for name in ("server", "worker")]
    with subprocess.Popen([sys.executable, "-m", "http.server", "0"], stderr=subprocess.DEVNULL) as bystander:
        assert "ended: worker, server" in deployed.down()
        assert "nothing of `editflow up` was running" in deployed.down()
        assert bystander.poll() is None
        bystander.kill()
    assert not any(one is not None and one.is_running() for one in ours)
    assert not list(deployed.home.glob("server.json")) + list(deployed.home.glob("worker.json"))
