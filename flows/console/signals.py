"""Ctrl-C, SIGTERM and SIGHUP: the first ends a command in order, the second at once."""

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
"""The environment variable that names the process which a temporary server belongs to."""
REPEAT = 0.1
"""Seconds until a signal is raised again that came where an exception is lost, such as in a finaliser."""


_came: ContextVar[Sequence[int]] = ContextVar("signals that came", default=())


class Stopped(KeyboardInterrupt):
    """A signal asks the command to end; code that cleans up after Ctrl-C cleans up after this."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def sender(stop: BaseException) -> str:
    """Who asked for an end, as a run's record says it."""
    number = getattr(stop, "number", getattr(stop, "signal", signal.SIGINT))  # Prefect has an exception of its own
    if not isinstance(number, int) or number == signal.SIGINT:
        return "the user" if isinstance(stop, KeyboardInterrupt) else type(stop).__name__
    return signal.Signals(number).name


def received() -> Sequence[int]:
    """The signals that have come to this command: libraries make errors of their own of an interrupt."""
    return _came.get()


@contextmanager
def stopping(*, last: bool) -> Iterator[Sequence[int]]:
    """Raise `Stopped` in the main thread at the first signal, and end the process at the second; yields what came.

    Signals that are ignored (by nohup, or of a job in the background) stay so; in other threads nothing is changed.
    With `last` the process is about to end: a signal after the block ends it at once, without a traceback.
    """
    if threading.current_thread() is not threading.main_thread():
        yield ()
        return
    before: dict[int, Any] = {}
    hook = sys.unraisablehook
    came: list[int] = []

    def handle(number: int, _frame: FrameType | None) -> None:
        if came:
            end_now(number)
        came.append(number)
        raise Stopped(number)

    def lost(about: Any) -> None:
        if not isinstance(about.exc_value, Stopped):
            hook(about)
            return
        came.clear()
        again = threading.Timer(REPEAT, _raise, (about.exc_value.number,))
        again.daemon = True
        again.start()

    token = _came.set(came)
    try:
        for number in SIGNALS:
            if signal.getsignal(number) in {signal.SIG_DFL, signal.default_int_handler}:
                before[number] = signal.signal(number, handle)
        sys.unraisablehook = lost
        yield came
    finally:
        _came.reset(token)
        sys.unraisablehook = hook
        for number, was in before.items():
            signal.signal(number, (lambda number, _frame: end_now(number)) if last else was)


def _raise(number: int) -> None:
    """Raise a signal in the main thread; where the system can do so, it also ends what that thread waits for."""
    main = threading.main_thread().ident
    if hasattr(signal, "pthread_kill") and main is not None:
        signal.pthread_kill(main, number)
    else:
        _thread.interrupt_main(signal.Signals(number))


def end_now(number: int) -> None:
    """End the process, and with it the temporary Prefect server that it has started."""
    try:
        end_servers(patience=0)
    finally:
        os._exit(128 + number)


def end_servers(patience: float = 10) -> None:
    """End Prefect servers that this process has started for itself and that are still there."""
    if "psutil" not in sys.modules and "prefect" not in sys.modules:
        return  # nothing was started yet
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
