"""Ctrl-C, SIGTERM and SIGHUP: the first one stops a command cleanly, the second one at once."""

from __future__ import annotations

import _thread
import os
import platform
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from types import FrameType
from typing import Any

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
OWNER = "EDITFLOW_SERVER_OWNER"
"""Environment variable of a temporary server: the process that owns it."""
REPEAT = 0.1
"""Seconds until a signal is raised again after its exception was lost, such as in a finaliser."""


_received: ContextVar[Sequence[int]] = ContextVar("received signals", default=())


class Stopped(KeyboardInterrupt):
    """A signal stops the command. It derives from KeyboardInterrupt, so the same clean-up code runs."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def sender(stop: BaseException) -> str:
    """Who stopped the run, for its record."""
    number = getattr(stop, "number", getattr(stop, "signal", signal.SIGINT))  # Prefect raises its own exception
    if not isinstance(number, int) or number == signal.SIGINT:
        return "the user" if isinstance(stop, KeyboardInterrupt) else type(stop).__name__
    return signal.Signals(number).name


def received() -> Sequence[int]:
    """The signals received by this command. Libraries may turn an interrupt into an error of their own."""
    return _received.get()


@contextmanager
def stopping(*, last: bool) -> Iterator[Sequence[int]]:
    """Raise `Stopped` in the main thread at the first signal, end the process at the second; yield all signals.

    Ignored signals (nohup, background jobs) stay ignored; outside the main thread nothing changes. With `last`, a
    signal after the block ends the process at once, without a traceback.
    """
    if threading.current_thread() is not threading.main_thread():
        yield ()
        return
    handlers: dict[int, Any] = {}
    hook = sys.unraisablehook
    seen: list[int] = []

    def handle(number: int, _frame: FrameType | None) -> None:
        if seen:
            end_now(number)
        seen.append(number)
        raise Stopped(number)

    def raise_lost(about: Any) -> None:
        if not isinstance(about.exc_value, Stopped):
            hook(about)
            return
        seen.clear()
        again = threading.Timer(REPEAT, _raise, (about.exc_value.number,))
        again.daemon = True
        again.start()

    token = _received.set(seen)
    try:
        for number in SIGNALS:
            if signal.getsignal(number) in {signal.SIG_DFL, signal.default_int_handler}:
                handlers[number] = signal.signal(number, handle)
        sys.unraisablehook = raise_lost
        yield seen
    finally:
        _received.reset(token)
        sys.unraisablehook = hook
        for number, previous in handlers.items():
            signal.signal(number, (lambda number, _frame: end_now(number)) if last else previous)


def _raise(number: int) -> None:
    """Raise a signal in the main thread; if possible, it also interrupts a blocking call there."""
    main = threading.main_thread().ident
    if hasattr(signal, "pthread_kill") and main is not None:
        signal.pthread_kill(main, number)
    else:
        _thread.interrupt_main(signal.Signals(number))


def end_now(number: int) -> None:
    """End the process and the temporary Prefect server that it started."""
    try:
        end_servers(patience=0)
    finally:
        os._exit(128 + number)


def end_servers(patience: float = 10) -> None:
    """End the temporary Prefect servers that this process started."""
    if "psutil" not in sys.modules and "prefect" not in sys.modules:
        return  # no server was started yet
    import psutil  # type: ignore[import-untyped]

    ours = []
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error, ValueError):
            owner = child.environ().get(OWNER)
            words = " ".join(child.cmdline())
            if ("prefect.server" in words or "locked" in words) and owner == f"{os.getpid()}@{platform.node()}":
                child.terminate()
                ours.append(child)
    if patience:
        for child in psutil.wait_procs(ours, timeout=patience)[1]:
            with suppress(psutil.Error):
                child.kill()
