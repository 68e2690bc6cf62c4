"""Checks of a path before it is written: links, descriptors, devices and pipes."""

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
"""Seconds that a named pipe may be without a reader."""
LINKS = 40
"""Most symbolic links on the way to a file, as many as Linux follows."""


def followed(path: Path, flag: str, what: str) -> tuple[str, str]:
    """(folder, name) of what is to be written, behind all symbolic links but those that descriptors are."""
    for _ in range(LINKS):
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
    """Whether a folder is that of this process's open files, of which /dev/stdout is a link to one."""
    return folder in {"/dev/fd", f"/proc/{os.getpid()}/fd", f"/proc/{os.getpid()}/task/{os.getpid()}/fd"}


def descriptor(name: str, path: Path, flag: str) -> int:
    """A copy of an open descriptor of this process, at its current position."""
    try:
        number = int(name)
        kind = os.fstat(number)
        writable = fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY
    except (ValueError, OverflowError, OSError):
        raise UsageError(f"{flag} {path} is not open: give a file") from None
    taken = stat.S_ISREG(kind.st_mode) or stat.S_ISFIFO(kind.st_mode) or stat.S_ISSOCK(kind.st_mode)
    if not writable or not (taken or (stat.S_ISCHR(kind.st_mode) and is_for_writing(kind))):
        raise UsageError(f"{flag} {path} is {called(kind) if writable else 'open for reading only'}: give a file")
    return os.dup(number)


def kind_of(at: int, name: str) -> os.stat_result | None:
    """What a name in an open folder is; None for nothing."""
    try:
        return os.stat(name, dir_fd=at, follow_symlinks=False)
    except FileNotFoundError:
        return None


def writable(parent: str, path: Path, flag: str) -> None:
    """Raise unless a folder takes new files."""
    if Path(parent).is_relative_to("/proc") or Path(parent).is_relative_to("/sys") or parent == "/dev":
        raise UsageError(f"{flag} {path} cannot be written: {parent} holds no files; give another one")
    if not allowed(parent, os.W_OK | os.X_OK):
        refused = errno.EROFS if os.statvfs(parent).f_flag & os.ST_RDONLY else errno.EACCES
        raise OSError(refused, os.strerror(refused))


def allowed(path: str, how: int, at: int | None = None) -> bool:
    """Whether this process, as who it is now, may do something with a path, from an open folder."""
    return os.access(path, how, dir_fd=at, effective_ids=os.access in os.supports_effective_ids)


def is_for_writing(device: os.stat_result) -> bool:
    """The null device, or a terminal: opening any other may do something."""
    return device.st_rdev == Path(os.devnull).stat().st_rdev or _is_terminal(device)


def _is_terminal(device: os.stat_result) -> bool:
    # 5:0 is /dev/tty, the others are pseudo-terminals.
    return device.st_rdev == os.makedev(5, 0) or os.major(device.st_rdev) in range(136, 144)


def called(kind: os.stat_result) -> str:
    """The name of a kind of file, for error messages."""
    return next((name for test, name in _KINDS if test(kind.st_mode)), "no file")


def pipe(at: int, name: str, path: Path, flag: str) -> int:
    """Open a named pipe that a process reads."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            handle = os.open(name, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=at)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            if time.monotonic() > end:
                raise UsageError(f"{flag} {path} is a pipe that nobody reads: start its reader first") from None
            time.sleep(0.05)
        else:
            os.set_blocking(handle, True)
            return handle
