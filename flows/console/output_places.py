"""Checks a path before it is written: links, descriptors, devices and pipes."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from pathlib import Path

from editflow.flows.console.errors import UsageError

_KINDS = (
    (stat.S_ISREG, "a file"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISCHR, "a device"),
)
PATIENCE = 5.0
"""Seconds to wait for the reader of a named pipe."""
MAX_LINKS = 40
"""Maximum number of symbolic links to follow, as in Linux."""


def followed(path: Path, flag: str, what: str) -> tuple[str, str]:
    """Follow symbolic links, except to own descriptors; return (folder, name) of the file to write."""
    for _ in range(MAX_LINKS):
        parent = os.path.realpath(path.parent)
        if not Path(parent).is_dir():
            raise UsageError(
                f"there is no folder {path.parent} to write the {what} to: make it, or give another {flag}"
            )
        here = Path(parent, path.name)
        if own_descriptors(parent) or not here.is_symlink():
            return parent, path.name
        path = Path(parent, here.readlink())
    raise UsageError(f"{flag} {path} is a link that leads to itself: give another one")


def own_descriptors(folder: str) -> bool:
    """Whether a folder holds this process's descriptors; /dev/stdout links into it."""
    return folder in {"/dev/fd", f"/proc/{os.getpid()}/fd", f"/proc/{os.getpid()}/task/{os.getpid()}/fd"}


def descriptor(name: str, path: Path, flag: str) -> int:
    """Duplicate an open descriptor of this process; the position is shared."""
    try:
        number = int(name)
        kind = os.fstat(number)
        writable = fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY
    except (ValueError, OverflowError, OSError):
        raise UsageError(f"{flag} {path} is not open: give a file") from None
    taken = stat.S_ISREG(kind.st_mode) or stat.S_ISFIFO(kind.st_mode) or stat.S_ISSOCK(kind.st_mode)
    if not writable or not (taken or (stat.S_ISCHR(kind.st_mode) and is_for_writing(kind))):
        raise UsageError(f"{flag} {path} is {kind_name(kind) if writable else 'open for reading only'}: give a file")
    return os.dup(number)


def kind_of(at: int, name: str) -> os.stat_result | None:
    """The status of a name in an open folder; None if it does not exist."""
    try:
        return os.stat(name, dir_fd=at, follow_symlinks=False)
    except FileNotFoundError:
        return None


def writable(parent: str, path: Path, flag: str) -> None:
    """Raise UsageError or OSError unless files can be created in a folder."""
    if Path(parent).is_relative_to("/proc") or Path(parent).is_relative_to("/sys") or parent == "/dev":
        raise UsageError(f"{flag} {path} cannot be written: {parent} holds no files; give another one")
    if not allowed(parent, os.W_OK | os.X_OK):
        refused = errno.EROFS if os.statvfs(parent).f_flag & os.ST_RDONLY else errno.EACCES
        raise OSError(refused, os.strerror(refused))


def allowed(path: str, how: int, at: int | None = None) -> bool:
    """Whether the effective user has these rights to a path, relative to the folder `at`."""
    return os.access(path, how, dir_fd=at, effective_ids=os.access in os.supports_effective_ids)


def is_for_writing(device: os.stat_result) -> bool:
    """Whether it is the null device or a terminal. Opening another device may have effects."""
    return device.st_rdev == Path(os.devnull).stat().st_rdev or _is_terminal(device)


def _is_terminal(device: os.stat_result) -> bool:
    # 5:0 is /dev/tty, the others are pseudo-terminals.
    return device.st_rdev == os.makedev(5, 0) or os.major(device.st_rdev) in range(136, 144)


def kind_name(kind: os.stat_result) -> str:
    """The kind of a file in words, for messages."""
    return next((name for test, name in _KINDS if test(kind.st_mode)), "no file")


def pipe(at: int, name: str, path: Path, flag: str) -> int:
    """Open a named pipe for writing. Raises UsageError if no process reads it."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            handle = os.open(name, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=at)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            if time.monotonic() > end:
                raise UsageError(f"{flag} {path} is a pipe without a reader: start its reader first") from None
            time.sleep(0.05)
        else:
            os.set_blocking(handle, True)
            return handle
