"""Kills commands at random moments, and compares the repeated command with an undisturbed one."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from unittest.mock import patch

from support import tiny_world

ROOT = Path(__file__).parents[2]
TOKEN = "EDITFLOW_SOAK_TOKEN"  # noqa: S105 - marks our processes
TIMED_KINDS = {"reproduction", "trials", "comparison", "comparison_runs", "report", "page"}
"""Kinds whose content includes times, which are not compared."""


@dataclass
class ForkServer:
    """A client of the process in `fork_server.py`."""

    process: subprocess.Popen[str]
    threads: int = 0

    def begin(self, words: list[str], folder: Path) -> Child:
        assert self.process.stdin is not None
        order = {"words": words, "folder": str(folder), "output": str(folder / "output.txt")}
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return Child(int(self._line()), self._line, folder)

    def _line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the fork server has ended"
        return line


@dataclass
class Child:
    """A running command."""

    pid: int
    last: Callable[[], str]
    folder: Path

    @property
    def runs(self) -> bool:
        try:
            return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except OSError:
            return False

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def wait(self) -> int:
        return int(self.last())

    @property
    def output(self) -> str:
        return (self.folder / "output.txt").read_text()[-3000:]


@contextmanager
def fork_server(environment: Mapping[str, str], folder: Path) -> Iterator[ForkServer]:
    with (folder / "fork_server.txt").open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "tests" / "support" / "fork_server.py")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, env=dict(environment), cwd=ROOT,
        )  # fmt: skip
        made = ForkServer(process)
        made.threads = int(made._line())
        try:
            yield made
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(timeout=60)
            assert process.stdout is not None
            process.stdout.close()


@dataclass(frozen=True)
class Scene:
    """A command and its preparation. `words` returns the arguments for a folder that contains the lake `lake`."""

    name: str
    words: Callable[[Path], list[str]]
    prepare: Callable[[Path], None]
    outputs: tuple[str, ...] = ()
    """Files that must be identical byte by byte."""
    server: bool = True
    """Whether it uses Prefect's server."""

    def set(self, folder: Path) -> Path:
        (folder / "tmp").mkdir(parents=True)
        self.prepare(folder)
        return folder


@dataclass
class Undisturbed:
    """The result of the command when it is not killed."""

    code: int
    seconds: float
    names: int
    """The number of paths that were added or removed."""
    digests: dict[str, str]
    outputs: dict[str, bytes]
    lost: set[str] = field(default_factory=set)


def names(folder: Path) -> set[str]:
    """All paths below a folder; some may be removed meanwhile."""
    found: set[str] = set()
    for place, folders, files in os.walk(folder):
        found.update(f"{place}/{name}" for name in (*folders, *files))
    return found


def digests(folder: Path) -> dict[str, str]:
    from editflow.storage.artifacts.store import Lake

    if not (folder / "lake" / "artifacts").is_dir():
        return {}
    return {m.id: m.digest for m in Lake.open(folder / "lake").manifests() if m.kind not in TIMED_KINDS}


def undisturbed(scene: Scene, folder: Path, commands: ForkServer) -> Undisturbed:
    scene.set(folder)
    before, began = names(folder), time.monotonic()
    child = commands.begin(scene.words(folder), folder)
    code = child.wait()
    seconds = time.monotonic() - began
    assert code in {0, 1}, child.output
    outputs = {name: (folder / name).read_bytes() for name in scene.outputs}
    return Undisturbed(code, seconds, len(before ^ names(folder)), digests(folder), outputs)


def kill_at(child: Child, folder: Path, draw: Random, wanted: Undisturbed, *, sooner: bool) -> str:
    """Kill a command at a random moment or progress; returns which, or "" if it had ended before."""
    if draw.random() < 0.5:
        moment = draw.uniform(0, wanted.seconds)
        end = time.monotonic() + moment
        while child.runs and time.monotonic() < end:
            time.sleep(0.002)
        how = "a moment"
    else:
        before, enough = names(folder), draw.randint(1, max(1, wanted.names * (2 if sooner else 3) // 4))
        while child.runs and len(before ^ names(folder)) < enough:
            time.sleep(0.001)
        how = "a condition"
    child.kill()
    return how if child.wait() == -signal.SIGKILL else ""


def check(scene: Scene, folder: Path, wanted: Undisturbed) -> None:
    """Check a repeated command: the valid lake, artifacts and outputs as undisturbed, no temporary files."""
    lake = folder / "lake"
    audit = tiny_world.editflow("verify", "--lake", lake)
    assert audit.code == 0, (scene.name, folder, audit.out[-2000:], audit.err[-500:])
    assert digests(folder) == wanted.digests, (scene.name, folder)
    for name, data in wanted.outputs.items():
        assert (folder / name).read_bytes() == data, (scene.name, folder, name)
    for links in (folder / "tmp").glob("editflow-model-*"):  # they have no owner, and are removed when a day old
        os.utime(links, times=(time.time() - 2 * 86_400,) * 2)
    with patch.object(tempfile, "tempdir", str(folder / "tmp")):
        collected = tiny_world.editflow("gc", "--delete", "--hours", "1", "--lake", lake)
    assert collected.code == 0, (scene.name, folder, collected.err)
    left = [path.name for path in (folder / "tmp").iterdir() if path.name.startswith("editflow-")]
    assert left == [], (scene.name, folder)


def ours(token: str) -> dict[int, str]:
    """{pid: command line} of the living processes that were started with this token."""
    found = {}
    mark = f"{TOKEN}={token}".encode()
    for place in Path("/proc").iterdir():
        if place.name.isdigit() and int(place.name) != os.getpid():
            with suppress(OSError):
                if mark in (place / "environ").read_bytes().split(b"\0"):
                    words = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    found[int(place.name)] = words
    return found


def cleared(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
