"""Reads small files named by the user: regular files of limited size, never blocking."""

from __future__ import annotations

import codecs
import os
import stat
from collections.abc import Callable
from pathlib import Path

MAX_BYTES = 2**20
"""Maximum size of a spec or of another file written by hand."""
_NOT_REGULAR = (
    (stat.S_ISDIR, "is a folder: give the file inside it"),
    (stat.S_ISFIFO, "is a named pipe: save its content as a file"),
    (stat.S_ISSOCK, "is a socket: give a file"),
    (lambda mode: not stat.S_ISREG(mode), "is a device: give a file"),
)
_ENCODED = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_small(path: Path, error: Callable[[str], Exception]) -> str:
    """The text of a small regular file in UTF-8, with or without a byte order mark.

    Raises FileNotFoundError if it does not exist, and `error` with one line for any other fault.
    """
    try:
        content = _content(path, error)
    except FileNotFoundError:
        if path.is_symlink():
            raise error(f"{path} is a link to {os.readlink(path)!r}, which does not exist: fix the link") from None  # noqa: PTH115
        raise
    except (OSError, ValueError) as problem:
        why = getattr(problem, "strerror", None) or problem
        raise error(f"{path} cannot be read: {why}; check the path and its permissions") from None
    if content.startswith(_ENCODED) or b"\0" in content[:4]:
        raise error(f"{path} is not text in UTF-8, but perhaps in UTF-16: save it as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise error(
            f"{path} is not text in UTF-8 ({problem.reason} at byte {problem.start}): save it as UTF-8"
        ) from None


def _content(path: Path, error: Callable[[str], Exception]) -> bytes:
    _refuse(path, path.stat(), error)  # before opening: some devices act on open alone
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        _refuse(path, os.fstat(handle), error)
        content = file.read(MAX_BYTES + 1) or b""
    if len(content) > MAX_BYTES:
        raise error(_too_large(path))
    return content


def _refuse(path: Path, found: os.stat_result, error: Callable[[str], Exception]) -> None:
    for is_so, what in _NOT_REGULAR:
        if is_so(found.st_mode):
            raise error(f"{path} {what}")
    if found.st_size > MAX_BYTES:
        raise error(_too_large(path))


def _too_large(path: Path) -> str:
    return f"{path} has more than {MAX_BYTES // 2**20} MiB: is it the right file?"
