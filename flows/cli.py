"""The command line. Start-up is kept light: what a command needs is imported when it runs."""

from __future__ import annotations

import errno
import io
import sys
import warnings
from collections.abc import Sequence
from importlib.metadata import version

from cyclopts import App, CycloptsError

from editing.errors import EditingError
from flows.commands import queue, read
from flows.commands.apply import apply
from flows.commands.ask import ask
from flows.commands.compare import compare
from flows.commands.completion import completion
from flows.commands.diff import diff
from flows.commands.doctor import doctor
from flows.commands.evaluate import evaluate
from flows.commands.export_run import export_run
from flows.commands.fetch import fetch
from flows.commands.gc import gc
from flows.commands.impact import impact
from flows.commands.lineage import lineage
from flows.commands.plan import plan
from flows.commands.prepare import prepare
from flows.commands.report import report
from flows.commands.requests import requests
from flows.commands.rerun import rerun
from flows.commands.run import run
from flows.commands.scores import scores
from flows.commands.tune import tune
from flows.commands.up import down, up
from flows.commands.verify import verify
from flows.errors import UsageError
from flows.output import print_line
from storage.address import cut_inside
from storage.errors import StorageError
from tasks.errors import TaskError
from tasks.terminal import console, quoted

EXPECTED = (EditingError, StorageError, TaskError, UsageError)

app = App(
    name="editflow",
    help="Edit facts inside a language model, batch after batch, as a cached, reproducible pipeline.",
    version=lambda: version("editflow"),
    exit_on_error=False,
    print_error=False,
    suppress_keyboard_interrupt=False,  # `main` has a word to say about it
)
_COMMANDS = (
    fetch,
    plan,
    prepare,
    run,
    tune,
    read.runs,
    read.show,
    lineage,
    read.query,
    scores,
    compare,
    diff,
    rerun,
    export_run,
    ask,
    report,
    requests,
    apply,
    queue.submit,
    queue.queue,
    queue.releases,
    queue.rollback,
    evaluate,
    gc,
    impact,
    up,
    down,
    doctor,
    verify,
    completion,
)
for _command in _COMMANDS:
    app.command(_command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command. What the user can mend is one line on standard error and exit code 2."""
    warnings.showwarning = _warn
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # not every terminal's encoding has every character
    try:
        app(arguments, console=console(), error_console=console(stderr=True))
    except CycloptsError as error:
        _fail(quoted(cut_inside(" ".join(str(error).split()))) + " Try `editflow --help`.")
    except EXPECTED as error:
        _fail(quoted(cut_inside(str(error))))
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT, errno.ENAMETOOLONG}:
            raise
        _fail(quoted(f"{error.filename or 'a file'}: {error.strerror}; free space or choose another folder"))
    except KeyboardInterrupt:
        print_line("interrupted: everything finished so far is kept; the same command goes on from there")
        sys.exit(130)


def _warn(message: Warning | str, category: type[Warning], *_where: object, **_more: object) -> None:
    """Our own warnings as one line; what libraries say to their developers is not for the user."""
    if category.__module__.partition(".")[0] in {"editing", "flows", "storage", "tasks"}:
        print_line(f"[yellow]warning:[/] {quoted(message)}")


def _fail(message: str) -> None:
    print_line(f"[bold red]error:[/] {message}")
    sys.exit(2)
