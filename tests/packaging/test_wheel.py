"""Wheel and source distribution install only the name `editflow`: no clash with the user's modules."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import sysconfig
import tarfile
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest
import yaml
from prefect.client.orchestration import SyncPrefectClient
from support import tiny_world
from support.tiny_world import World

from editflow.flows.orchestration.background_services import Services

pytestmark = pytest.mark.exhaustive

ROOT = Path(__file__).parents[2]
FOLDERS = ("editing", "flows", "storage", "tasks")


@dataclass(frozen=True)
class Installed:
    """An environment with the wheel and its dependencies, and a folder with the user's packages."""

    bin: Path
    own: Path
    cache: Path

    def run(self, *words: object, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "PYTHON"))}
        environment |= {"EDITFLOW_CACHE": str(self.cache), "OMP_NUM_THREADS": "1", **variables}
        return subprocess.run(
            [str(self.bin / str(words[0])), *map(str, words[1:])],
            capture_output=True, text=True, check=False, cwd=self.own, env=environment, timeout=800,
        )  # fmt: skip


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The source distribution, and the wheel built from it."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True, timeout=600)
    return {"wheel": next(folder.glob("*.whl")), "sdist": next(folder.glob("*.tar.gz"))}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return tiny_world.make(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def installed(built: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Install the wheel; the dependencies are this environment's, because installing them would take minutes."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")], check=True)
    python = folder / "venv" / "bin" / "python"
    place = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    site = Path(place.stdout.strip())
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    words = ("install", "--quiet", "--no-deps", "--no-index", "--ignore-installed")
    pip = [sys.executable, "-m", "pip", "--python", str(python), *words, str(built["wheel"])]
    subprocess.run(pip, check=True, timeout=600)
    for name in (*FOLDERS, "specs"):
        (folder / "own" / name).mkdir(parents=True)
        (folder / "own" / name / "__init__.py").write_text("MINE = True\n")
    return Installed(folder / "venv" / "bin", folder / "own", folder / "cache")


def test_the_wheel_has_one_package(built: dict[str, Path]) -> None:
    with zipfile.ZipFile(built["wheel"]) as wheel:
        names = wheel.namelist()
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {"editflow"}
    here = {
        f"editflow/{path.relative_to(ROOT).as_posix()}"
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in names if name.count("/") > 1 and ".dist-info/" not in name} == here


def test_the_source_distribution_has_no_links(built: dict[str, Path]) -> None:
    with tarfile.open(built["sdist"]) as archive:
        members = archive.getmembers()
    assert all(member.isfile() for member in members)
    tops = {member.name.split("/")[1] for member in members}
    assert tops >= {"editflow", "pyproject.toml", "README.md", "LICENSE", "prefect.yaml", "specs"}
    assert tops.isdisjoint({*FOLDERS, "tests", ".venv", "lake"})


def test_packages_do_not_shadow_each_other(installed: Installed) -> None:
    show = "import json, {0}; print(json.dumps([{0}.__file__, getattr({0}, 'MINE', None)]))"
    for name in FOLDERS:
        file, mine = json.loads(installed.run("python", "-c", show.format(name)).stdout)
        assert (Path(file).parent, mine) == (installed.own / name, True)
    for path in ("", str(installed.own)):
        done = installed.run("python", "-c", show.format("editflow.flows.edit_model"), PYTHONPATH=path)
        file, _ = json.loads(done.stdout)
        assert installed.bin.parent in Path(file).parents
    elsewhere = installed.run("python", "-P", "-c", "import flows")
    assert "ModuleNotFoundError" in elsewhere.stderr, "the control: the wheel has no such name"


def test_a_run_next_to_packages_of_the_same_names(installed: Installed, world: World) -> None:
    done = installed.run("editflow", "run", world.spec, "--lake", "lake", PYTHONPATH=str(installed.own))
    assert done.returncode == 0, done.stderr
    asked = installed.run("editflow", "query", "SELECT count(*) AS states FROM states", "--lake", "lake", "--json")
    assert json.loads(asked.stdout)[0]["states"] > 0


@pytest.fixture
def port() -> Iterator[int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number = free.getsockname()[1]
    yield number


def test_a_worker_runs_a_deployment(installed: Installed, port: int) -> None:
    file = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    kept = [one | {"parameters": {"lake": "lake"}} for one in file["deployments"] if one["name"] == "clean"]
    (installed.own / "prefect.yaml").write_text(yaml.safe_dump({**file, "deployments": kept}))
    (installed.own / "lake" / "artifacts").mkdir(parents=True, exist_ok=True)
    home = installed.own / "home"
    brisk = {"PREFECT_WORKER_QUERY_SECONDS": "1", "PREFECT_WORKER_PREFETCH_SECONDS": "1"}
    try:
        done = installed.run("editflow", "up", "--port", port, "--home", home, PYTHONPATH=str(installed.own), **brisk)
        assert done.returncode == 0, done.stderr
        with Services(home).client() as client:
            deployment = client.read_deployment_by_name("clean/clean")
            run = client.create_flow_run_from_deployment(deployment.id)
            ended = _ended(client, run.id)
        assert ended == "Completed", Services(home).log("worker").read_text()
    finally:
        installed.run("editflow", "down", "--home", home)


def _ended(client: SyncPrefectClient, run: UUID) -> str:
    """Wait for a flow run; returns its final state."""
    end = time.monotonic() + 600
    while time.monotonic() < end:
        state = client.read_flow_run(run).state
        if state is not None and state.is_final():
            return str(state.name)
        time.sleep(0.2)
    return "never"
