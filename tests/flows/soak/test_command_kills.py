"""Every long command is killed at random moments and run again, or ended by a signal; for `make soak`.

EDITFLOW_SOAK_SEED=N repeats the random draws of an earlier run, but not its exact moments.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest
from support import process_kills, tiny_world
from support.kill_scenarios import Stock, scenes, stock
from support.process_kills import (
    TOKEN,
    ForkServer,
    Scene,
    Undisturbed,
    check,
    cleared,
    fork_server,
    kill_at,
    ours,
    undisturbed,
)
from support.tiny_world import World, editflow

pytestmark = [pytest.mark.soak, pytest.mark.timeout(7_200)]
KILLS = int(os.environ.get("EDITFLOW_SOAK_KILLS", "15"))
"""Kills of each command; every twelfth has its own server, which the kill leaves behind."""
TRIES = 4
SIGNALS = int(os.environ.get("EDITFLOW_SOAK_SIGNALS", "40"))
EDITFLOW = "import sys; from editflow.flows.cli.main import main; main(sys.argv[1:])"


@pytest.fixture(scope="module")
def token() -> str:
    return secrets.token_hex(8)


@pytest.fixture(scope="module")
def draw() -> Random:
    seed = int(os.environ.get("EDITFLOW_SOAK_SEED", secrets.randbelow(2**31)))
    print(f"\nseed {seed}")
    return Random(seed)  # noqa: S311


@pytest.fixture(scope="module")
def shared(environment: dict[str, str], token: str) -> dict[str, str]:
    """The environment of commands that use the long-lived server."""
    return {**environment, TOKEN: token, "PYTHONPATH": str(process_kills.ROOT)}


@pytest.fixture(scope="module")
def alone(shared: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of commands that start their own server."""
    home = tmp_path_factory.mktemp("home")
    drop = ("PREFECT_API_URL", "PREFECT_API_AUTH_STRING", "PREFECT_SERVER_API_AUTH_STRING")
    kept = {name: value for name, value in shared.items() if name not in drop}
    return {**kept, "PREFECT_HOME": str(home / "prefect"), "EDITFLOW_CACHE": str(home / "cache")}


@pytest.fixture(scope="module")
def commands(shared: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkServer]:
    with fork_server(shared, tmp_path_factory.mktemp("fork_server")) as made:
        yield made


@pytest.fixture(scope="module")
def stocked(world: World, tmp_path_factory: pytest.TempPathFactory) -> Stock:
    return stock(world, tmp_path_factory.mktemp("stock"))


@pytest.fixture(scope="module")
def quiet(
    stocked: Stock, commands: ForkServer, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Scene], Undisturbed]:
    """The result of an undisturbed command, computed once."""
    known: dict[str, Undisturbed] = {}

    def find(scene: Scene) -> Undisturbed:
        if scene.name not in known:
            folder = tmp_path_factory.mktemp("quiet") / "scene"
            undisturbed(scene, tmp_path_factory.mktemp("first") / "scene", commands)  # its time includes one-time work
            known[scene.name] = undisturbed(scene, folder, commands)
        return known[scene.name]

    return find


NAMES = ("run", "apply", "compare", "tune", "rerun", "gc --delete", "verify --repair", "export-run")


@pytest.mark.parametrize("name", NAMES)
def test_killed_and_run_again(
    name: str, stocked: Stock, commands: ForkServer, quiet: Callable[[Scene], Undisturbed], alone: dict[str, str],
        token: str,
    draw: Random, tmp_path: Path,
) -> None:  # fmt: skip
    scene = scenes(stocked)[name]
    wanted, began, kills, tries = quiet(scene), time.monotonic(), Counter[str](), 0
    while kills.total() < KILLS and tries < TRIES * KILLS:
        folder = scene.set(tmp_path / str(tries))
        tries += 1
        own = scene.server and kills.total() % 12 == 5
        if own:
            how = _killed_with_its_server(scene, folder, alone, draw, wanted)
        else:
            how = kill_at(commands.begin(scene.words(folder), folder), folder, draw, wanted, sooner=tries % 2 == 0)
        if how:
            kills[how] += 1
            _again(scene, folder, wanted, commands, alone if own else None)
            check(scene, folder, wanted)
            if own:
                assert list(ours(f"{token}-own").values()) == [], "servers of killed commands are still running"
        cleared(folder)
    seconds = time.monotonic() - began
    print(f"\n{name}: {kills.total()} kills in {tries} tries, {dict(kills)}, {seconds:.0f} s")
    assert kills.total() >= KILLS, f"{name} ended before its kill too often: {dict(kills)} of {tries} tries"


def _again(scene: Scene, folder: Path, wanted: Undisturbed, commands: ForkServer, own: dict[str, str] | None) -> None:
    """Run the same command to its end; in a new process if a server was left behind, which it must end."""
    if own is None:
        child = commands.begin(scene.words(folder), folder)
        code, output = child.wait(), child.output
    else:
        process = _process(scene.words(folder), folder, own)
        code, output = process.wait(timeout=900), (folder / "output.txt").read_text()[-3000:]
    assert code == wanted.code, (scene.name, folder, output)


def _process(words: list[str], folder: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    # Tests that run under nohup ignore SIGHUP.
    restore_sighup = "import signal; signal.signal(signal.SIGHUP, signal.SIG_DFL); "
    own = {**environment, TOKEN: f"{environment[TOKEN]}-own", "TMPDIR": str(folder / "tmp")}
    with (folder / "output.txt").open("ab") as out:
        return subprocess.Popen(
            [sys.executable, "-c", restore_sighup + EDITFLOW, *words],
            stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=folder, env=own, start_new_session=True,
        )  # fmt: skip


def _killed_with_its_server(
    scene: Scene, folder: Path, alone: dict[str, str], draw: Random, wanted: Undisturbed
) -> str:
    before, enough = process_kills.names(folder), draw.randint(1, max(1, wanted.names // 2))
    process = _process(scene.words(folder), folder, alone)
    while process.poll() is None and len(before ^ process_kills.names(folder)) < enough:
        time.sleep(0.005)
    with suppress(ProcessLookupError):
        process.kill()  # only itself: the next command has to find its server
    return "with its server" if process.wait() == -signal.SIGKILL else ""


def test_a_signal_ends_a_command_and_its_server(
    stocked: Stock,
    commands: ForkServer,
    quiet: Callable[[Scene], Undisturbed],
    alone: dict[str, str],
    draw: Random,
    tmp_path: Path,
) -> None:
    """SIGTERM, and SIGHUP each fourth time: one line, the server has ended too, the run is interrupted."""
    every = scenes(stocked)
    drawn = [(n, every[NAMES[n % 5]], draw.randint(1, 10_000)) for n in range(SIGNALS)]
    known = {scene.name: quiet(scene) for _, scene, _ in drawn}
    began, ended = time.monotonic(), Counter[str]()

    def one(n: int, scene: Scene, at: int) -> tuple[Scene, Path, int, str]:
        folder, sent = scene.set(tmp_path / f"s{n}"), _signal(n)
        own = {
            **alone,
            TOKEN: f"{alone[TOKEN]}-{n}",
            "PREFECT_HOME": str(folder / "prefect"),
            "EDITFLOW_CACHE": str(folder / "cache"),
        }
        before, enough = _made(folder), 1 + at % max(1, known[scene.name].names // 2)
        process = _process(scene.words(folder), folder, own)
        while process.poll() is None and len(before ^ _made(folder)) < enough:
            time.sleep(0.005)
        process.send_signal(sent)
        code = process.wait(timeout=300)
        return scene, folder, code + sent if code in {128 + sent, -sent} else code, f"{own[TOKEN]}-own"

    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(lambda given: one(*given), drawn))
    for n, (scene, folder, _, mark) in enumerate(outcomes):
        sent, output = _signal(n), (folder / "output.txt").read_text()
        over = f"{scene.name} {sent.name}"
        if "interrupted: " not in output and editflow("runs", "--json", "--lake", folder / "lake").json[:1] == []:
            ended["before it began"] += 1
            continue
        lines = [line for line in output.splitlines() if line.startswith("interrupted: ")]
        if not lines and _completed(folder):
            ended["over before"] += 1
            continue
        assert len(lines) == 1, (over, folder, output[-3000:])
        assert "Traceback" not in output, (over, folder, output[-3000:])
        assert ours(mark) == {}, (over, folder)
        ended[over] += 1
        _again(scene, folder, known[scene.name], commands, None)
        check(scene, folder, known[scene.name])
    print(f"\n{SIGNALS} signals: {dict(ended)} in {time.monotonic() - began:.0f} s")
    assert sum(number for over, number in ended.items() if "SIGTERM" in over) >= SIGNALS // 2


def _signal(n: int) -> signal.Signals:
    return signal.SIGHUP if n % 4 == 3 else signal.SIGTERM


def _made(folder: Path) -> set[str]:
    """The lake of the command's output: `rerun` works in a temporary lake."""
    return process_kills.names(folder / "lake") | process_kills.names(folder / "tmp")


def _completed(folder: Path) -> bool:
    newest = editflow("runs", "--json", "--lake", folder / "lake").json[:1]
    return bool(newest) and newest[0]["status"] == "completed"


def test_leftovers_of_a_kill_are_found(stocked: Stock, commands: ForkServer, tmp_path: Path) -> None:
    """The control: a missing artifact and a remaining temporary folder are detected."""
    scene = scenes(stocked)["rerun"]
    wanted = undisturbed(scene, tmp_path / "whole", commands)
    folder = scene.set(tmp_path / "cut")
    next((folder / "lake").glob("artifacts/*/*/manifest.json")).unlink()
    with pytest.raises(AssertionError):
        check(scene, folder, wanted)
    whole = scene.set(tmp_path / "left")
    check(scene, whole, wanted)
    (whole / "tmp" / "editflow-of-nobody").mkdir()
    with pytest.raises(AssertionError):
        check(scene, whole, wanted)
    assert tiny_world.digests(whole / "lake")
