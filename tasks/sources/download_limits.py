"""Limits of a download's size and time."""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Event, Thread
from typing import TypeVar

from editflow.tasks.errors import FetchFailed

Row = TypeVar("Row")
SIZE, SECONDS = "EDITFLOW_DOWNLOAD_MIB", "EDITFLOW_DOWNLOAD_SECONDS"
"""Environment variables that set other limits for one file."""
PATIENCE = 60
"""Seconds that a server may be silent, and those it has before it must be faster than SLOWEST."""
SLOWEST = 2048
"""Bytes a second that a server must send, from its first minute on."""


@dataclass(frozen=True)
class Limits:
    """The most bytes and seconds of one download."""

    size: int
    seconds: float

    @classmethod
    def set(cls) -> Limits:
        """Those of the environment, or 2 GiB and half an hour. Raises FetchFailed for a value that is not a number."""
        return cls(_number(SIZE, 2048) << 20, _number(SECONDS, 1800))

    def expect(self, size: int) -> None:
        """Raises Refused for more bytes than there may be."""
        if size > self.size:
            raise Refused(f"it has more than {self.size >> 20:,} MiB, the limit; {SIZE} sets another one")


def _number(name: str, usual: int) -> int:
    given = os.environ.get(name) or str(usual)
    if not re.fullmatch(r"[1-9][0-9]{0,8}", given):
        raise FetchFailed(f"{name} = {given!r} is no whole number from 1 to 999999999; unset or correct it")
    return int(given)


class Refused(Exception):
    """What an address or its server asks for, and is not done; the message has no secret."""


class Watch:
    """Ends a download that takes too long: between two pieces, or by closing what it waits for."""

    def __init__(self, limits: Limits) -> None:
        self.limits, self.done, self.was_cut = limits, 0, False
        self.ended, self._start = Event(), time.monotonic()
        self._held: list[socket.socket] = []

    def hold(self, made: socket.socket) -> socket.socket:
        """Keep a second handle of a connection; TLS takes the first one over."""
        self._held.append(socket.socket(fileno=os.dup(made.fileno())))
        self.check()
        return made

    def take(self, size: int) -> None:
        """Count what came. Raises Refused beyond a limit."""
        self.done += size
        self.expect(self.done)
        self.check()

    def expect(self, size: int) -> None:
        """Raises Refused for more bytes than there may be."""
        self.limits.expect(size)

    def check(self) -> None:
        """Raises Refused where the time is up, or was: a body without a length ends where its connection was cut."""
        if self.was_cut or time.monotonic() > self._end:
            if time.monotonic() - self._start < self.limits.seconds:
                raise Refused(f"the server sends under {SLOWEST} bytes a second, too few to wait for")
            raise Refused(f"the server takes more than {self.limits.seconds} s, the limit; {SECONDS} sets another one")

    @property
    def _end(self) -> float:
        return self._start + min(self.limits.seconds, PATIENCE + self.done / SLOWEST)

    def run(self) -> None:
        """Wait for the end of the download or of its time, whichever is first."""
        while not self.ended.wait(max(0.01, self._end - time.monotonic())):
            if time.monotonic() > self._end:
                self.cut()
                self.ended.wait()

    def cut(self) -> None:
        """End all connections; their readers see the end of the data."""
        self.was_cut = True
        for held in list(self._held):
            with suppress(OSError):
                held.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Release all connections."""
        for held in self._held:
            held.close()


@contextmanager
def watched(limits: Limits) -> Iterator[Watch]:
    watch = Watch(limits)
    thread = Thread(target=watch.run, name="download watch", daemon=True)
    thread.start()
    try:
        yield watch
        if watch.was_cut:
            watch.check()
    except Refused:
        raise
    except Exception:
        watch.check()  # what failed may be what the watch has ended
        raise
    finally:
        watch.ended.set()
        thread.join()
        watch.close()


def bounded(rows: Iterable[Row]) -> Iterator[Row]:
    """The rows of a stream while they keep within the limits; waiting for them counts, what is done with them does not.

    Raises Refused for more. Sizes are those of the rows' texts, about.
    """
    limits, found, size, seconds = Limits.set(), iter(rows), 0, 0.0
    while True:
        began = time.monotonic()
        try:
            row = next(found)
        except StopIteration:
            return
        size, seconds = size + len(str(row)), seconds + time.monotonic() - began
        limits.expect(size)
        if seconds > limits.seconds:
            raise Refused(f"its rows take more than {limits.seconds} s, the limit; {SECONDS} sets another one")
        yield row
