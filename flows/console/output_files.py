"""Writes the output files of commands.

A regular file is replaced atomically and keeps its mode. A symbolic link stays; its target is written. A pipe with a
reader, a terminal, the null device and an open descriptor such as /dev/stdout are written into. Everything else is
refused before the command does its work.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import unicodedata
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from editflow.flows.console import output_places
from editflow.flows.console.errors import UsageError
from editflow.flows.console.output_places import kind_name, kind_of, own_descriptors, writable

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_CONTROLS = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]")
"""Control bytes that a terminal obeys."""


def named(name: str, ending: str) -> str:
    """A file name made from any text; it cannot lead to another folder."""
    return re.sub(r"[^\w-]+", "-", name)[:64] + ending


@dataclass
class Target:
    """The place of an output: a file in an open folder, or an open stream. Created by `target`."""

    path: Path
    flag: str
    folder: int | None = None
    name: str = ""
    stream: int | None = None

    def __str__(self) -> str:
        return str(self.path)

    def write(self, content: bytes) -> None:
        """Write the whole content. Raises UsageError and leaves the file unchanged."""
        try:
            if self.stream is not None:
                _write_all(self.stream, content)
            elif self.folder is not None:
                _replace(self.folder, self.name, content)
        except BrokenPipeError:
            raise UsageError(
                f"{self.path} cannot be written: what reads it has ended; give another {self.flag}"
            ) from None
        except OSError as error:
            raise UsageError(f"{self.path} cannot be written ({error.strerror}): give another {self.flag}") from None

    def close(self) -> None:
        """Close the folder or the stream."""
        for handle in (self.folder, self.stream):
            if handle is not None:
                os.close(handle)
        self.folder = self.stream = None


@contextmanager
def target(given: Path | None, name: str, what: str, flag: str = "--out", *, wait: bool = True) -> Iterator[Target]:
    """Open the place of an output: the given path, or else `name` in this folder. No file is created before `write`.

    `what` names the content in messages. Wait up to `PATIENCE` seconds for the reader of a named pipe, unless `wait` is
    false. Raises UsageError.
    """
    found = Target(expanded(Path(name) if given is None else given, flag), flag)
    try:
        try:
            _open(found, name, what, wait=wait)
        except OSError as error:
            raise UsageError(f"{flag} {found} cannot be written ({error.strerror}): give another one") from None
        yield found
    finally:
        found.close()


def check(path: Path, name: str, what: str, flag: str = "--out") -> bool:
    """Raise UsageError if `write` would be refused later; return whether it would replace a file."""
    with target(path, name, what, flag, wait=False) as found:
        there = None if found.folder is None else kind_of(found.folder, found.name)
        return there is not None and stat.S_ISREG(there.st_mode)


def write(path: Path, content: bytes, what: str, flag: str = "--out") -> None:
    """Open and write a file. Raises UsageError."""
    with target(path, path.name, what, flag) as found:
        found.write(content)


def folder(path: Path, what: str, flag: str = "--out") -> Path:
    """Check an output folder, which may not exist yet; create nothing. Raises UsageError."""
    path = expanded(path, flag)
    if path.is_dir():
        _check_takes_files(path, path, flag)
        return path
    if os.path.lexists(path):
        raise UsageError(f"{flag} {path} is {_kind_of_path(path)}: give a folder")
    check(path, path.name, what, flag)
    return path


def new_folder(path: Path, flag: str) -> Path:
    """Check a new folder and its parents; create nothing. Raises UsageError."""
    path = expanded(path, flag)
    there = existing(path)
    if (os.path.lexists(path) and not path.is_dir()) or not there.is_dir():
        odd = path if os.path.lexists(path) else there
        raise UsageError(f"{flag} {path}: {odd} is {_kind_of_path(odd)}; give a new folder")
    _check_takes_files(there, path, flag)
    return path


def _check_takes_files(there: Path, path: Path, flag: str) -> None:
    """Raise UsageError if no files can be created in the folder `there`; `path` is the given path, for the message."""
    try:
        writable(os.path.realpath(there), path, flag)
    except OSError:
        raise UsageError(f"{flag} {path} is not writable: make it writable, or give another one") from None


def _kind_of_path(path: Path) -> str:
    """The kind of what is at a path, in words."""
    return kind_name(path.stat()) if path.exists() else "a broken link"


def expanded(path: Path, flag: str = "--out") -> Path:
    """A path with `~` expanded. Raises UsageError for control characters and for an unknown user's home."""
    if any(unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} for character in str(path)):
        raise UsageError(f"{flag} {path} has a line end, a control character or bytes that are not text: rename it")
    try:
        return path.expanduser()
    except RuntimeError:
        raise UsageError(f"{flag} {path} names the home of an unknown user: give another path") from None


def show_in_browser(path: Path) -> None:
    """Open a page in the browser. Raises UsageError if there is none."""
    import webbrowser

    if not webbrowser.open(path.absolute().as_uri()):
        raise UsageError(f"no browser to open {path}: copy it to a machine with a browser")


def _open(found: Target, example: str, what: str, *, wait: bool) -> None:
    """Open the stream, or the folder of the file, at a path."""
    path, flag = found.path, found.flag
    parent, name = output_places.followed(path, flag, what)
    if own_descriptors(parent):
        found.stream = output_places.descriptor(name, path, flag)
        return
    at = os.open(parent, _FOLDER)
    found.folder, found.name = at, name
    kind = kind_of(at, name or ".")
    if kind is None or stat.S_ISREG(kind.st_mode):
        writable(parent, path, flag)
        if kind is not None and not output_places.allowed(name, os.W_OK, at):
            raise UsageError(f"{flag} {path} is write-protected: give another one")
        return
    if stat.S_ISDIR(kind.st_mode):
        raise UsageError(f"{flag} {path} is a folder: give a file, such as {path / example}")
    if stat.S_ISFIFO(kind.st_mode):
        found.stream = output_places.pipe(at, name, path, flag) if wait else None
    elif stat.S_ISCHR(kind.st_mode) and output_places.is_for_writing(kind):
        found.stream = os.open(name, os.O_WRONLY | os.O_NOCTTY | os.O_CLOEXEC, dir_fd=at)
    else:
        raise UsageError(f"{flag} {path} is {kind_name(kind)}: give a file")


def _write_all(handle: int, content: bytes) -> None:
    if os.isatty(handle) and _CONTROLS.search(content):
        raise OSError(errno.EINVAL, "the content has control characters for a terminal")
    left = memoryview(content)
    while left:
        left = left[os.write(handle, left) :]


def _replace(at: int, name: str, content: bytes) -> None:
    """Create or replace a file in an open folder. Keep its mode and, if permitted, its owner."""
    draft = f".tmp-{uuid.uuid4().hex}"
    try:
        with os.fdopen(os.open(draft, _NEW, 0o666, dir_fd=at), "wb") as out:
            out.write(content)
            out.flush()
            before = kind_of(at, name)
            if before is not None:
                if not stat.S_ISREG(before.st_mode):  # created in between
                    raise OSError(errno.EEXIST, f"it has become {kind_name(before)}")
                with suppress(PermissionError):
                    os.fchown(out.fileno(), before.st_uid, before.st_gid)
                os.fchmod(out.fileno(), stat.S_IMODE(before.st_mode))
            os.fsync(out.fileno())
        os.rename(draft, name, src_dir_fd=at, dst_dir_fd=at)
    finally:
        with suppress(OSError):
            os.unlink(draft, dir_fd=at)
    with suppress(OSError):  # some file systems cannot sync a folder
        os.fsync(at)


def existing(path: Path) -> Path:
    """The path or its nearest existing parent."""
    path = path.absolute()
    return next(place for place in (path, *path.parents) if place.exists())
