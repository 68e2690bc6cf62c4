"""Makes standard input, output and error usable even if they are closed or full."""

from __future__ import annotations

import errno
import io
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast

from editflow.flows.console.errors import UsageError

BROKEN = 1
"""Exit code of a command whose reader, such as `| head`, has ended."""


class Unwritable(UsageError):
    """Standard output cannot be written."""


class Output:
    """Wraps standard output or error. Results must be written; notices are dropped if they cannot be."""

    def __init__(self, stream: TextIO, *, results: bool) -> None:
        self._stream = stream
        self._results = results

    def write(self, text: str) -> int:
        """Write a text. Raises Unwritable."""
        try:
            return self._stream.write(text)
        except OSError as error:
            self._failed(error)
            return len(text)

    def flush(self) -> None:
        """Flush the stream. Raises Unwritable."""
        try:
            self._stream.flush()
        except OSError as error:
            self._failed(error)

    def writelines(self, lines: Any) -> None:
        """Write several texts. Raises Unwritable."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _failed(self, error: OSError) -> None:
        with suppress(OSError, ValueError):  # discard what is still buffered, so that it does not fail again
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
        if not self._results:
            return
        if isinstance(error, BrokenPipeError):
            raise SystemExit(BROKEN)
        why = "it is closed" if error.errno == errno.EBADF else error.strerror
        raise Unwritable(f"standard output cannot be written ({why}): send it to a place with free space")


@contextmanager
def streams() -> Iterator[None]:
    """Provide usable standard streams for a command."""
    _open_all()
    for name in ("COLUMNS", "LINES"):
        if not re.fullmatch("[1-9][0-9]{0,4}", os.environ.get(name, "1"), re.ASCII):
            del os.environ[name]  # not a terminal size
    before = sys.stdout, sys.stderr
    for stream in before:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # some encodings lack characters
    sys.stdout = cast("TextIO", Output(before[0], results=True))
    sys.stderr = cast("TextIO", Output(before[1], results=False))
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def _open_all() -> None:
    """Open closed streams on the null device, so that no file of a lake becomes standard output.

    Writing results there fails; notices are dropped.
    """
    for number, name, how in ((0, "stdin", os.O_RDONLY), (1, "stdout", os.O_RDONLY), (2, "stderr", os.O_WRONLY)):
        if getattr(sys, name) is not None:
            continue
        with suppress(OSError):
            os.fstat(number)
            continue
        handle = os.open(os.devnull, how)
        if handle != number:
            os.dup2(handle, number)
            os.close(handle)
        os.set_inheritable(number, True)
        mode = "r" if number == 0 else "w"
        setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 - kept open
