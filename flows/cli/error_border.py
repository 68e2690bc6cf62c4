"""Turns every exception of a command into one line and an exit code."""

from __future__ import annotations

import os
import signal
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from editflow.storage.address import redact_text
from editflow.tasks.console.terminal import quoted

MENDABLE, FAULT = 2, 70
"""Exit codes: an error that the user can fix, and a fault of EditFlow."""
DEBUG = "EDITFLOW_DEBUG"
"""The environment variable that asks for the traces of errors, as --debug does."""


debug: ContextVar[bool] = ContextVar("debug", default=False)
"""Whether --debug was given."""


def print_error(error: BaseException, signals: Sequence[int], *, strict: bool) -> int | None:
    """Tell the user of an error in one line; the exit code. None, untold, for a fault of ours where `strict`.

    `signals` have come before it: some libraries make errors of their own of an interrupt.
    """
    from editflow.flows.console.output import print_line

    if isinstance(error, KeyboardInterrupt) or signals:
        print_line("interrupted: everything finished so far is kept; the same command continues from there")
        return 128 + (signals[0] if signals else signal.SIGINT)
    message = _mendable(error)
    if message is None and strict:
        return None
    if debug.get() or os.environ.get(DEBUG, "").lower() not in {"", "0", "false", "no"}:
        traceback.print_exception(error)
    print_line(f"[bold red]error:[/] {message or _fault(error)}")
    return MENDABLE if message else FAULT


def _mendable(error: BaseException) -> str | None:
    """The line for an error that the user can fix; None for anything else."""
    from cyclopts import CycloptsError

    from editflow.editing.errors import EditingError
    from editflow.flows.console.errors import UsageError
    from editflow.storage.errors import StorageError
    from editflow.tasks.errors import TaskError

    if isinstance(error, CycloptsError):
        return quoted(redact_text(" ".join(str(error).split()))) + " Try `editflow --help`."
    if isinstance(error, EditingError | StorageError | TaskError | UsageError):
        return quoted(redact_text(str(error)))
    if isinstance(error, OSError):
        return quoted(redact_text(_refusal(error)))
    if isinstance(error, MemoryError):
        return quoted(f"memory does not suffice ({error or 'none left'}); `editflow plan` says what a run needs")
    return None


def _refusal(error: OSError) -> str:
    """What the operating system refuses, with its place and a remedy."""
    from editflow.flows.orchestration.prefect_environment import GONE, working_folder_is_gone

    if working_folder_is_gone():
        return GONE
    place = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else error.filename
    why = error.strerror or str(error) or type(error).__name__
    return f"{place or 'a file'}: {why}; free space, see to its permissions, or choose another folder"


def _fault(error: BaseException) -> str:
    """An unexpected error, and where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" in {Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""
    text = redact_text(" ".join(str(error).split()))
    return quoted(
        f"unexpected {type(error).__name__}{where}: {text}; this is a fault of EditFlow: "
        "run it again with --debug and report the output"
    )


@contextmanager
def show_warnings() -> Iterator[None]:
    """Our own warnings as one line each; what libraries say to their developers is not for the user."""
    before = warnings.showwarning
    warnings.showwarning = _warn
    try:
        yield
    finally:
        warnings.showwarning = before


def _warn(message: Warning | str, category: type[Warning], *_where: object, **_more: object) -> None:
    from editflow.flows.console.output import print_line

    if category.__module__.partition(".")[0] == "editflow":
        print_line(f"[yellow]warning:[/] {quoted(message)}")
