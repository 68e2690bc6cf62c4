"""The entry point `editflow`. It imports little, so that signals are handled from the start."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextvars import copy_context

from editflow.flows.console.signals import Stopped, end_servers, stopping


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command. An error that the user can fix is one line on standard error and exit code 2.

    A bug is one line and exit code 70. If another program or a test passes `arguments`, a bug is raised instead.
    """
    from_shell = arguments is None
    with stopping(last=from_shell) as signals:
        try:
            try:
                words = sys.argv[1:] if arguments is None else arguments
                copy_context().run(_run, words, signals, strict=not from_shell)
            finally:
                if from_shell:
                    end_servers()
        except Stopped as stopped:  # before the command began, or after it ended
            sys.exit(128 + stopped.number)


def _run(words: Sequence[str], signals: Sequence[int], *, strict: bool) -> None:
    from editflow.flows.console.standard_streams import streams

    with streams():
        try:
            from editflow.flows.cli.common.error_border import show_warnings
            from editflow.flows.cli.registry import call

            try:
                with show_warnings():
                    call(words)
            finally:
                sys.stdout.flush()
        except SystemExit:
            raise
        except BaseException as error:
            from editflow.flows.cli.common.error_border import print_error

            code = print_error(error, signals, strict=strict)
            if code is None:
                raise
            sys.exit(code)
