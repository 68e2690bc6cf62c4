"""Limits of a query: time, memory, text and answer. A query that exceeds them is stopped."""

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

TEXT = 200_000
"""Most characters of a query."""
PARTS = 20_000
"""Most parts of its parse tree: planning, which nothing interrupts, takes longer than in proportion to them."""
_AGAIN, _GRACE = 0.05, 2.0
"""Seconds between interruptions, and that a stopped query has to end."""
T = TypeVar("T")


def memory_share() -> int:
    """Default limit of a query's memory in bytes: a quarter of the machine's memory, at most 2 GiB."""
    return min(int(psutil.virtual_memory().total) // 4, 2 * 2**30)


@dataclass(frozen=True)
class Limits:
    """Bounds of one query; an answer beyond `rows` or `bytes` is refused, never cut in silence."""

    seconds: float = 60.0
    rows: int = 1_000_000
    bytes: int = 256 * 2**20
    memory: int = field(default_factory=memory_share)

    def __post_init__(self) -> None:
        if not (math.isfinite(self.seconds) and self.seconds > 0 and min(self.rows, self.bytes, self.memory) > 0):
            raise ValueError(f"{self}: every limit is a number above 0")

    @property
    def settings(self) -> dict[str, str | bool | int | float | list[str]]:
        """The limits as DuckDB's settings."""
        return {"memory_limit": f"{max(self.memory // 2**20, 64)}MiB"}

    def too_slow(self) -> QueryRefused:
        """The error of a query whose time is over."""
        return QueryRefused(
            f"the query was stopped after {self.seconds:g} s: ask for less, or allow it more time (--timeout)"
        )

    def too_large(self) -> QueryRefused:
        """The error of a query that needs more memory than it may use."""
        return QueryRefused(
            f"the query needs more than the {size(self.memory)} of memory that it may use: ask for fewer rows or "
            "columns, or shorter lists and texts"
        )


def size(count: int) -> str:
    """Bytes for people."""
    return f"{count / 2**30:.3g} GiB" if count >= 2**30 else f"{count / 2**20:.3g} MiB"


class Work:
    """A query at work in a thread of its own, so that its caller can leave it when its time is over or on Ctrl-C."""

    def __init__(self) -> None:
        self.ended, self._stopped = Event(), Event()
        self._connection: duckdb.DuckDBPyConnection | None = None

    def interruptible(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Stopping interrupts this connection from now on. Raises QueryRefused where it is stopped already."""
        self._connection = connection
        if self._stopped.is_set():
            raise QueryRefused("the query was stopped")

    def stop(self) -> None:
        """Interrupt it until it has ended, and wait a moment for that: planning, or one call of a function, cannot be
        interrupted."""
        self._stopped.set()
        Thread(target=self._interrupt, daemon=True, name="query-stop").start()
        self.ended.wait(_GRACE)

    def _interrupt(self) -> None:
        while not self.ended.wait(_AGAIN):  # again: a step that begins after an interruption would continue
            if self._connection is not None:
                with contextlib.suppress(Exception):  # closed just now
                    self._connection.interrupt()


def within(limits: Limits, ask: Callable[[Work], T]) -> T:
    """What `ask` returns or raises; QueryRefused where that takes longer than it may, or more memory."""
    work, found = Work(), list[T | BaseException]()

    def run() -> None:
        try:
            found.append(ask(work))
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            found.append(error)
        finally:
            work.ended.set()

    Thread(target=run, daemon=True, name="query").start()
    try:
        in_time = work.ended.wait(limits.seconds)
    except BaseException:  # Ctrl-C, or a signal that the caller minds
        work.stop()
        raise
    if not in_time:
        work.stop()
        raise limits.too_slow()
    (result,) = found
    if isinstance(result, BaseException):
        if _is_memory(result):
            raise limits.too_large() from result
        raise result
    return result


def _is_memory(error: BaseException | None) -> bool:
    if isinstance(error, QueryRefused):
        return _is_memory(error.__cause__)
    return isinstance(error, MemoryError) or "Out of Memory" in str(error).partition("\n")[0]
