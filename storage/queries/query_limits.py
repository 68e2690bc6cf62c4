"""Limits of a query: time, memory, size of its text and of its result. A query that exceeds them is stopped."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import TYPE_CHECKING, TypeVar

import psutil  # type: ignore[import-untyped]

from editflow.storage.errors import QueryRefused

if TYPE_CHECKING:
    import duckdb

MAX_CHARACTERS = 200_000
"""Maximum length of a query."""
MAX_NODES = 20_000
"""Maximum size of a query's parse tree: planning takes more than linear time and cannot be interrupted."""
_INTERRUPT_SECONDS, _STOP_SECONDS = 0.05, 2.0
"""Time between interruptions, and time that a stopped query has to end."""
T = TypeVar("T")


def memory_share() -> int:
    """The default memory limit of a query in bytes: a quarter of the machine's memory, at most 2 GiB."""
    return min(int(psutil.virtual_memory().total) // 4, 2 * 2**30)


@dataclass(frozen=True)
class QueryLimits:
    """Limits of one query; a result beyond `rows` or `bytes` is an error, never silently truncated."""

    seconds: float = 60.0
    rows: int = 1_000_000
    bytes: int = 256 * 2**20
    memory: int = field(default_factory=memory_share)

    def __post_init__(self) -> None:
        if not (math.isfinite(self.seconds) and self.seconds > 0 and min(self.rows, self.bytes, self.memory) > 0):
            raise ValueError(f"{self}: every limit must be greater than 0")

    @property
    def settings(self) -> dict[str, str | bool | int | float | list[str]]:
        """The limits as DuckDB's settings."""
        return {"memory_limit": f"{max(self.memory // 2**20, 64)}MiB"}

    def too_slow(self) -> QueryRefused:
        """The error of a query that exceeded its time limit."""
        return QueryRefused(
            f"the query was stopped after {self.seconds:g} s: select less, or allow more time (--timeout)"
        )

    def too_large(self) -> QueryRefused:
        """The error of a query that exceeded its memory limit."""
        return QueryRefused(
            f"the query needs more than its limit of {format_bytes(self.memory)} of memory: select fewer rows or "
            "columns, or shorter lists and texts"
        )


def format_bytes(count: int) -> str:
    """A size in GiB or MiB."""
    return f"{count / 2**30:.3g} GiB" if count >= 2**30 else f"{count / 2**20:.3g} MiB"


class RunningQuery:
    """A query in its own thread, so that the caller can abandon it at the time limit or on Ctrl-C."""

    def __init__(self) -> None:
        self.ended, self._stopped = Event(), Event()
        self._connection: duckdb.DuckDBPyConnection | None = None

    def attach(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Set the connection that `stop` interrupts. Raises QueryRefused if the query is already stopped."""
        self._connection = connection
        if self._stopped.is_set():
            raise QueryRefused("the query was stopped")

    def stop(self) -> None:
        """Interrupt the query until it has ended, and wait a short time for that.

        Planning and a single function call cannot be interrupted.
        """
        self._stopped.set()
        Thread(target=self._interrupt, daemon=True, name="query-stop").start()
        self.ended.wait(_STOP_SECONDS)

    def _interrupt(self) -> None:
        while not self.ended.wait(_INTERRUPT_SECONDS):  # repeat: the next step would start uninterrupted
            if self._connection is not None:
                with contextlib.suppress(Exception):  # the connection was just closed
                    self._connection.interrupt()


def run_within(limits: QueryLimits, ask: Callable[[RunningQuery], T]) -> T:
    """Return or raise what `ask` does; raises QueryRefused if it exceeds the time or memory limit."""
    running, found = RunningQuery(), list[T | BaseException]()

    def run() -> None:
        try:
            found.append(ask(running))
        except BaseException as error:  # noqa: BLE001 - raised in the waiting thread
            found.append(error)
        finally:
            running.ended.set()

    Thread(target=run, daemon=True, name="query").start()
    try:
        in_time = running.ended.wait(limits.seconds)
    except BaseException:  # Ctrl-C, or another signal that the caller handles
        running.stop()
        raise
    if not in_time:
        running.stop()
        raise limits.too_slow()
    (result,) = found
    if isinstance(result, BaseException):
        if _is_memory_error(result):
            raise limits.too_large() from result
        raise result
    return result


def _is_memory_error(error: BaseException | None) -> bool:
    if isinstance(error, QueryRefused):
        return _is_memory_error(error.__cause__)
    return isinstance(error, MemoryError) or "Out of Memory" in str(error).partition("\n")[0]
