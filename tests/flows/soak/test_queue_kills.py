"""Twenty kills at random moments while two processes apply one queue: the result equals that of an undisturbed run.

`make soak` runs it; EDITFLOW_SOAK_SEED=N repeats the random draws of an earlier run, but not its exact moments.
"""

from __future__ import annotations

import os
import random
import secrets
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from support import tiny_world
from support.tiny_queue import apply_directly, served
from support.tiny_world import World, editflow

from editflow.storage.artifacts.store import Lake
from editflow.storage.records.runs import Runs
from editflow.tasks.releases.queue import Outcome, Queue, statuses

KILLS, FACTS, FARTHEST = 20, 34, 9
GATES = "[gates]\nefficacy = 40\nretention = 1\nneighbourhood = false\nperplexity = 1e9\n"
"""Gates that reject some facts of a random model."""
APPLY = """
import sys
from pathlib import Path
from editflow.flows.orchestration import temporary_server as server
from editflow.flows.cli.main import main
server.prepare()
import editflow.flows.apply, transformers
Path(sys.argv[1]).touch()  # what takes seconds is over: the two of a pair begin together
sys.stdin.readline()
main(sys.argv[2:])
"""


@dataclass
class Workers:
    """Two processes at a time that apply pending requests."""

    spec: Path
    lake: Path
    environment: dict[str, str]
    draw: random.Random

    def pair(self) -> list[subprocess.Popen[bytes]]:
        """Start two new ones, in random order."""
        words = ["apply", str(self.spec), "--lake", str(self.lake)]
        ready = [self.lake.parent / f"ready-{secrets.token_hex(4)}" for _ in range(2)]
        with (self.lake.parent / "output.txt").open("ab") as out:
            found = [
                subprocess.Popen(
                    [sys.executable, "-c", APPLY, str(file), *words],
                    stdin=subprocess.PIPE, stdout=out, stderr=out, env=self.environment, start_new_session=True,
                )
                for file in ready
            ]  # fmt: skip
        for process, file in zip(found, ready, strict=True):
            self._wait(process, file.exists)
        for process in found:
            assert process.stdin is not None
            process.stdin.write(b"\n")
            process.stdin.close()
        self.draw.shuffle(found)
        return found

    def kill(self, process: subprocess.Popen[bytes]) -> bool:
        """Kill one process after a few more artifacts; returns whether it was still running."""
        self._wait(process, lambda: process.pid in {run.pid for run in Runs(Lake.open(self.lake).files).all()})
        enough = self.made + self.draw.randrange(FARTHEST)
        self._wait(process, lambda: self.made >= enough)
        time.sleep(self.draw.uniform(0, 0.05))
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        assert process.wait() in {0, -signal.SIGKILL}, self._said
        return process.returncode == -signal.SIGKILL

    def finish(self) -> None:
        assert [process.wait(timeout=900) for process in self.pair()] == [0, 0], self._said

    @property
    def made(self) -> int:
        return sum(1 for _ in self.lake.glob("artifacts/*/*/manifest.json"))

    @property
    def _said(self) -> str:
        return (self.lake.parent / "output.txt").read_text()[-5000:]

    def _wait(self, process: subprocess.Popen[bytes], happened: Callable[[], bool]) -> None:
        while process.poll() is None and not happened():
            time.sleep(0.01)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_twenty_kills(world: World, environment: dict[str, str], tmp_path: Path) -> None:
    seed = int(os.environ.get("EDITFLOW_SOAK_SEED", secrets.randbelow(2**31)))
    print(f"\nseed {seed}")
    facts = tiny_world.write_lines(tmp_path / "facts.jsonl", tiny_world.records(FACTS))
    spec, lake, quiet = served(world, tmp_path, GATES), tmp_path / "lake", tmp_path / "quiet"
    for place in (lake, quiet):
        editflow("submit", facts, "--lake", place)
    started = time.monotonic()
    workers, kills, moments = Workers(spec, lake, environment, random.Random(seed)), 0, Counter[str]()  # noqa: S311
    while kills < KILLS:
        for process in workers.pair():
            kills += workers.kill(process)
            moments[max(Lake.open(lake).manifests(), key=lambda m: m.created_at).kind] += 1
        assert waiting(lake), f"the queue was empty after {kills} kills: it needs more requests"
    left = waiting(lake)
    workers.finish()
    seconds = time.monotonic() - started
    apply_directly(spec, quiet)

    assert tiny_world.digests(lake) == tiny_world.digests(quiet)
    assert {id_: outcome.status for id_, outcome in settled(lake).items()} == {
        id_: outcome.status for id_, outcome in settled(quiet).items()
    }
    moves = [move for _, move in Queue(Lake.open(lake).files, "current").events()]
    counted = Counter(entry for move in moves if move.move == "settle" for entry in move.entries)
    assert set(counted.values()) == {1}
    assert len(counted) == FACTS
    ends = Counter(run.status for run in Runs(Lake.open(lake).files).all())
    outcomes = Counter(outcome.status for outcome in settled(lake).values())
    print(f"{kills} kills in {seconds:.0f} s, {left} of {FACTS} requests still waiting after the last")
    print(f"latest artifact at a kill: {dict(moments)}; runs: {dict(ends)}; requests: {dict(outcomes)}")
    print(f"{len(tiny_world.digests(lake))} artifacts, the digests of an undisturbed run")


def settled(lake: Path) -> dict[str, Outcome]:
    """The outcome of each request."""
    queue = Queue(Lake.open(lake).files, "current")
    return statuses(queue.entries(), queue.state())


def waiting(lake: Path) -> int:
    """The number of pending requests."""
    return sum(outcome.status == "pending" for outcome in settled(lake).values())
