"""Report every exception of a command in one line, with an exit code."""

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

USER_ERROR, INTERNAL_ERROR = 2, 70
"""Exit codes: an error that the user can fix, and a bug in EditFlow."""
DEBUG = "EDITFLOW_DEBUG"
"""The environment variable that asks for tracebacks, like --debug."""


debug: ContextVar[bool] = ContextVar("debug", default=False)
"""Whether --debug was given."""


def print_error(error: BaseException, signals: Sequence[int], *, strict: bool) -> int | None:
    """Print an error in one line and return the exit code. With `strict`, a bug is not printed: return None.

    `signals` are those received before the error, because some libraries turn an interrupt into an error of their own.
    """
    from editflow.flows.console.output import print_line

    if isinstance(error, KeyboardInterrupt) or signals:
        print_line("interrupted: everything finished so far is kept; the same command continues from there")
        return 128 + (signals[0] if signals else signal.SIGINT)
    message = _user_message(error)
    if message is None and strict:
        return None
    if debug.get() or os.environ.get(DEBUG, "").lower() not in {"", "0", "false", "no"}:
        traceback.print_exception(error)
    print_line(f"[bold red]error:[/] {message or _bug_message(error)}")
    return USER_ERROR if message else INTERNAL_ERROR


def _user_message(error: BaseException) -> str | None:
    """The line for an error that the user can fix; None for any other error."""
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
        return quoted(redact_text(_system_message(error)))
    if isinstance(error, MemoryError):
        return quoted(f"memory does not suffice ({error or 'none left'}); `editflow plan` shows what a run needs")
    return None


def _system_message(error: OSError) -> str:
    """The file, the operating system's reason, and a remedy."""
    from editflow.flows.orchestration.prefect_environment import GONE, working_folder_is_gone

    if working_folder_is_gone():
        return GONE
    path = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else error.filename
    reason = error.strerror or str(error) or type(error).__name__
    return f"{path or 'a file'}: {reason}; free space, check its permissions, or choose another folder"


def _bug_message(error: BaseException) -> str:
    """An unexpected error and the line that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" in {Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""
    text = redact_text(" ".join(str(error).split()))
    return quoted(
        f"unexpected {type(error).__name__}{where}: {text}; this is a bug in EditFlow: "
        "run it again with --debug and report the output"
    )


@contextmanager
def show_warnings() -> Iterator[None]:
    """Print EditFlow's own warnings as one line each, and hide those that libraries address to developers."""
    before = warnings.showwarning
    warnings.showwarning = _show_warning
    try:
        yield
    finally:
        warnings.showwarning = before


def _show_warning(message: Warning | str, category: type[Warning], *_where: object, **_more: object) -> None:
    from editflow.flows.console.output import print_line

    if category.__module__.partition(".")[0] == "editflow":
        print_line(f"[yellow]warning:[/] {quoted(message)}")
