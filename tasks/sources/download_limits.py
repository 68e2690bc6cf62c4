"""Limits for the size and time of downloads."""

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
"""Environment variables that override the limits for one file."""
GRACE_SECONDS = 60
"""Time that a server may be silent, and that it has before MIN_SPEED applies."""
MIN_SPEED = 2048
"""Bytes per second that a server must send on average, after its first minute."""


@dataclass(frozen=True)
class DownloadLimits:
    """Maximum number of bytes and seconds of one download."""

    size: int
    seconds: float

    @classmethod
    def from_environment(cls) -> DownloadLimits:
        """The limits of the environment, or 2 GiB and half an hour. Raises FetchFailed for an invalid number."""
        return cls(_number(SIZE, 2048) << 20, _number(SECONDS, 1800))

    def check_size(self, size: int) -> None:
        """Raise Refused if `size` exceeds the limit."""
        if size > self.size:
            raise Refused(f"it has more than {self.size >> 20:,} MiB, the limit; {SIZE} sets another one")


def _number(name: str, default: int) -> int:
    value = os.environ.get(name) or str(default)
    if not re.fullmatch(r"[1-9][0-9]{0,8}", value):
        raise FetchFailed(f"{name} = {value!r} is not a whole number from 1 to 999999999; unset or correct it")
    return int(value)


class Refused(Exception):
    """A download that is not allowed or exceeds a limit. The message has no secrets."""


class Watch:
    """Ends a download that takes too long, between two chunks or by closing its connections."""

    def __init__(self, limits: DownloadLimits) -> None:
        self.limits, self.received, self.was_cut = limits, 0, False
        self.ended, self._start = Event(), time.monotonic()
        self._connections: list[socket.socket] = []

    def add(self, connection: socket.socket) -> socket.socket:
        """Keep a second handle of a connection; TLS takes over the first one."""
        self._connections.append(socket.socket(fileno=os.dup(connection.fileno())))
        self.check_time()
        return connection

    def count(self, size: int) -> None:
        """Count received bytes. Raises Refused beyond a limit."""
        self.received += size
        self.limits.check_size(self.received)
        self.check_time()

    def check_time(self) -> None:
        """Raise Refused if the time is up, or the connections were cut: a reader may take this for the end of data."""
        if self.was_cut or time.monotonic() > self._deadline:
            if time.monotonic() - self._start < self.limits.seconds:
                raise Refused(f"the server sends less than {MIN_SPEED} bytes per second")
            raise Refused(f"the server takes more than {self.limits.seconds} s, the limit; {SECONDS} sets another one")

    @property
    def _deadline(self) -> float:
        return self._start + min(self.limits.seconds, GRACE_SECONDS + self.received / MIN_SPEED)

    def run(self) -> None:
        """Wait for the end of the download or its deadline, whichever is first; cut the connections at the deadline."""
        while not self.ended.wait(max(0.01, self._deadline - time.monotonic())):
            if time.monotonic() > self._deadline:
                self._cut()
                self.ended.wait()

    def _cut(self) -> None:
        self.was_cut = True
        for connection in list(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Release all connections."""
        for connection in self._connections:
            connection.close()


@contextmanager
def watch_download(limits: DownloadLimits) -> Iterator[Watch]:
    """Watch a download during a block. Raises Refused at its deadline."""
    watch = Watch(limits)
    thread = Thread(target=watch.run, name="download watch", daemon=True)
    thread.start()
    try:
        yield watch
        if watch.was_cut:
            watch.check_time()
    except Refused:
        raise
    except Exception:
        watch.check_time()  # the error may be the result of a cut connection
        raise
    finally:
        watch.ended.set()
        thread.join()
        watch.close()


def limit_rows(rows: Iterable[Row]) -> Iterator[Row]:
    """The rows of a stream within the limits: their size as text, and the time spent waiting for them.

    Raises Refused beyond a limit. The time that the caller spends on a row does not count.
    """
    limits, iterator, size, seconds = DownloadLimits.from_environment(), iter(rows), 0, 0.0
    while True:
        started = time.monotonic()
        try:
            row = next(iterator)
        except StopIteration:
            return
        size, seconds = size + len(str(row)), seconds + time.monotonic() - started
        limits.check_size(size)
        if seconds > limits.seconds:
            raise Refused(f"its rows take more than {limits.seconds} s, the limit; {SECONDS} sets another one")
        yield row
