"""One implementation of a benchmark in its own process, so that its memory can be measured."""

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
class Measurement:
    """One run: its time, its peak memory beyond that before the first run, and its answer."""

    seconds: float
    peak_bytes: int
    answer: Answer


def load_stage(name: str) -> Stage:
    """The stage of a module in `benchmarks/stages`."""
    found: Stage = importlib.import_module(f"benchmarks.stages.{name}").STAGE
    return found


class Worker:
    """A process that prepares one implementation once and then runs it on request.

    `with Worker("second_moments", "ours", "quick", 2) as worker: worker.run()`
    """

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

    def run(self) -> Measurement:
        """Run once, with time and memory measured."""
        found: Measurement = self._ask("run")
        return found

    def count(self) -> float:
        """The floating-point operations of one untimed run, counted by torch."""
        return float(self._ask("count"))

    def peak(self, double: bool) -> float:
        """The machine's current floating-point operations per second in a product of two large matrices."""
        return float(self._ask("peak64" if double else "peak32"))

    def _ask(self, what: str | None) -> Any:
        if what is not None:
            self._connection.send(what)
        while not self._connection.poll(1):
            if not self._process.is_alive():
                raise RuntimeError("a process of the benchmark has ended; its error is above")
        return self._connection.recv()


def _serve(connection: Connection, name: str, side: str, size: str, threads: int) -> None:
    import torch

    torch.set_num_threads(threads)
    stage = load_stage(name)
    work = getattr(stage, side)(stage.sizes[size])
    # Measured once, before the first run: allocators keep freed memory, so later runs would appear to need none.
    before = 0 if stage.whole else _resident_bytes(False)
    connection.send("ready")
    while True:
        match connection.recv():
            case "run":
                connection.send(_measure(work, before, stage.whole))
            case "count":
                connection.send(_count_operations(work))
            case "peak32":
                connection.send(_gemm_peak(torch.float32))
            case "peak64":
                connection.send(_gemm_peak(torch.float64))


def _measure(work: Any, before: int, whole: bool) -> Measurement:
    peak = before
    over = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not over.wait(0.5 if whole else 0.02):  # reading the memory of other processes takes longer
            peak = max(peak, _resident_bytes(whole))

    watcher = threading.Thread(target=watch)
    watcher.start()
    started = time.perf_counter()
    try:
        answer = work()
        seconds = time.perf_counter() - started
    finally:
        over.set()
        watcher.join()
    return Measurement(answer.seconds or seconds, peak - before, answer)


def _resident_bytes(whole: bool) -> int:
    """Resident bytes of this process; if `whole`, of its child processes instead, if it has any."""
    here, total = psutil.Process(), 0
    for process in (here.children(recursive=True) if whole else []) or [here]:
        with suppress(psutil.NoSuchProcess):
            total += process.memory_info().rss
    return total


def _count_operations(work: Any) -> float:
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        work()
    return float(counter.get_total_flops())


def _gemm_peak(dtype: Any, n: int = 1536, rounds: int = 8) -> float:
    """Floating-point operations per second of the fastest of some products of two (n, n) matrices."""
    import torch

    a, b = torch.randn(n, n, dtype=dtype), torch.randn(n, n, dtype=dtype)
    best = float("inf")
    for _ in range(rounds):
        started = time.perf_counter()
        _ = a @ b
        best = min(best, time.perf_counter() - started)
    return 2 * n**3 / best
