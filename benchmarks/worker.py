"""One side of a benchmark in a process of its own, so that its memory is its own."""

from __future__ import annotations

import importlib
import multiprocessing
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

import psutil  # type: ignore[import-untyped]

from benchmarks.stage import Answer, Stage


@dataclass(frozen=True)
class Reading:
    """One run: its time, the most memory held beyond what was there before the first one, and its answer."""

    seconds: float
    peak_bytes: int
    answer: Answer


def stage_named(name: str) -> Stage:
    """The stage of a module in `benchmarks/stages`."""
    found: Stage = importlib.import_module(f"benchmarks.stages.{name}").STAGE
    return found


class Worker:
    """`Worker("moments", "ours", "quick", 2)`: prepared once, then `run`, `count` or `peak` as often as wanted."""

    def __init__(self, stage: str, side: str, size: str, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, stage, side, size, threads), daemon=True)

    def __enter__(self) -> Worker:
        self._process.start()
        self._ask(None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.join()

    def run(self) -> Reading:
        """A timed run."""
        found: Reading = self._ask("run")
        return found

    def count(self) -> float:
        """Floating-point operations of a run, by torch's counter; not timed."""
        return float(self._ask("count"))

    def peak(self, double: bool) -> float:
        """The machine's operations a second in a product of two large matrices, now."""
        return float(self._ask("peak64" if double else "peak32"))

    def _ask(self, what: str | None) -> Any:
        if what is not None:
            self._connection.send(what)
        while not self._connection.poll(1):
            if not self._process.is_alive():
                raise RuntimeError("the other side of the benchmark has died; its error is above")
        return self._connection.recv()


def _serve(connection: Connection, name: str, side: str, size: str, threads: int) -> None:
    import torch

    torch.set_num_threads(threads)
    stage = stage_named(name)
    work = getattr(stage, side)(stage.sizes[size])
    # Before the first run: an allocator keeps what it has once been given, so later runs seem to need nothing.
    before = 0 if stage.whole else _held(False)
    connection.send("ready")
    while True:
        match connection.recv():
            case "run":
                connection.send(_read(work, before, stage.whole))
            case "count":
                connection.send(_count(work))
            case "peak32":
                connection.send(_gemm(torch.float32))
            case "peak64":
                connection.send(_gemm(torch.float64))


def _read(work: Any, before: int, whole: bool) -> Reading:
    peak = before
    over = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not over.wait(0.5 if whole else 0.02):  # to look at other processes takes longer
            peak = max(peak, _held(whole))

    watcher = threading.Thread(target=watch)
    watcher.start()
    started = time.perf_counter()
    try:
        answer = work()
        seconds = time.perf_counter() - started
    finally:
        over.set()
        watcher.join()
    return Reading(answer.seconds or seconds, peak - before, answer)


def _held(whole: bool) -> int:
    """Resident bytes of this process; of the `whole`, those of the processes it has started, where there are any."""
    here, held = psutil.Process(), 0
    for process in (here.children(recursive=True) if whole else []) or [here]:
        with suppress(psutil.NoSuchProcess):
            held += process.memory_info().rss
    return held


def _count(work: Any) -> float:
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        work()
    return float(counter.get_total_flops())


def _gemm(dtype: Any, n: int = 1536, rounds: int = 8) -> float:
    import torch

    a, b = torch.randn(n, n, dtype=dtype), torch.randn(n, n, dtype=dtype)
    best = float("inf")
    for _ in range(rounds):
        started = time.perf_counter()
        _ = a @ b
        best = min(best, time.perf_counter() - started)
    return 2 * n**3 / best
