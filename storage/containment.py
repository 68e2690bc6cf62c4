"""Paths inside a lake: a path that leads out of the lake's root is refused.

A lake may come from anyone: a link in it can lead to another lake or to any file of the reader's, a named pipe
blocks a reader for ever, and opening a device can have any effect. So each folder on the way to a name is checked, and
only regular files are opened. A link is followed as long as it stays inside the lake; the lake's own folder may be a
link, which its owner has chosen. Nothing is cached: a path may become a link between two reads.

Cost: a microsecond or two for each folder on the way.
"""

from __future__ import annotations

import errno
import os
import stat
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from editflow.storage.errors import ForeignFile, LakeNotWritable

LARGEST = 2**28
"""Most bytes of a record that is read into memory: four million ids."""
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_KINDS = (
    (stat.S_ISLNK, "a link"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISCHR, "a device"),
)
_ODD = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode's categories of control characters, of bytes that are no text, and of ends of lines and paragraphs."""


def root_of(text: str) -> str:
    """The whole path of a lake's folder. Raises LakeNotWritable for a name that cannot be one."""
    try:
        path = str(Path(text).expanduser().absolute())
    except RuntimeError as error:
        raise LakeNotWritable(f"lake {text}: there is no such user; give the folder's whole path") from error
    if odd := [character for character in path if unicodedata.category(character) in _ODD]:
        what = "a line end" if odd[0] in "\r\n" else f"the character U+{ord(odd[0]):04X}"
        raise LakeNotWritable(f"lake {text!r}: its path holds {what}; give a folder whose name has none")
    return path


def path_of(root: str, name: str) -> str:
    """The full path of a name. Raises ForeignFile for a name that leads out of the folder."""
    if ".." in name or "//" in name or name[:1] == "/" or "\0" in name:
        parts = name.split("/")
        if ".." in parts or "" in parts or "\0" in name:
            raise ForeignFile(f"{root}/{name}", "no name inside the lake", "take out what names it")
    return f"{root}/{name}"


def way(root: str, name: str, lent: Sequence[str] = ()) -> str:
    """The full path of a name whose folders are all inside the lake, or in one of those that are `lent` to it.

    Raises ForeignFile for a folder that is a link out of it.
    """
    path, at = path_of(root, name), name.find("/")
    while at > 0:
        folder = f"{root}/{name[:at]}"
        try:
            mode = os.lstat(folder).st_mode
        except (OSError, ValueError):  # the user of the path gets the error
            break
        if stat.S_ISLNK(mode):
            real(root, folder, lent)
        at = name.find("/", at + 1)
    return path


def real(root: str, link: str, lent: Sequence[str] = ()) -> str:
    """The target of a link. Raises ForeignFile unless it is inside the lake or in a folder that is `lent` to it."""
    place = os.path.realpath(link)
    if os.path.islink(place):  # noqa: PTH114 - as above, of a text
        raise ForeignFile(link, "a link that leads to itself", "remove it")
    for ground in map(os.path.realpath, (root, *lent)):
        if place == ground or place.startswith(f"{ground.rstrip('/')}/"):
            return place
    raise ForeignFile(link, "a link out of the lake", "remove it, or put a copy of what it leads to in its place")


def regular(root: str, name: str, lent: Sequence[str] = ()) -> str:
    """The path of a regular file, or of a link to one inside the lake; FileNotFoundError. Raises ForeignFile."""
    path = way(root, name, lent)
    _target(root, path, lent)
    return path


def _target(root: str, path: str, lent: Sequence[str]) -> str:
    """The path of a regular file, after links."""
    target, mode = path, os.lstat(path).st_mode
    if stat.S_ISLNK(mode):
        target = real(root, path, lent)
        mode = os.lstat(target).st_mode
    if not stat.S_ISREG(mode):
        raise foreign(path, mode)
    return target


def read(root: str, name: str, lent: Sequence[str] = ()) -> bytes:
    """The content of a regular file; FileNotFoundError. Raises ForeignFile for any other, and for an endless one."""
    path = way(root, name, lent)
    target = _target(root, path, lent)
    try:
        handle = os.open(target, _FLAGS)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENXIO}:  # another process has just put something else there
            raise foreign(path, os.lstat(path).st_mode) from error
        raise
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise foreign(path, status.st_mode)
        if status.st_size > LARGEST:
            raise ForeignFile(path, f"larger than any record ({status.st_size} bytes)", "restore it, or remove it")
        content = os.read(handle, status.st_size + 1)
        while len(content) < status.st_size and (more := os.read(handle, status.st_size - len(content))):
            content += more
        return content
    finally:
        os.close(handle)


def size(root: str, name: str, lent: Sequence[str] = ()) -> int | None:
    """Bytes of a regular file; None where there is nothing, -1 where there is something else."""
    path = way(root, name, lent)
    try:
        status = os.lstat(path)
        if stat.S_ISLNK(status.st_mode):
            status = os.lstat(real(root, path, lent))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ForeignFile:
        return -1
    return status.st_size if stat.S_ISREG(status.st_mode) else -1


def foreign(path: str, mode: int) -> ForeignFile:
    """The error that names what is there instead of a file."""
    what = next((word for holds, word in _KINDS if holds(mode)), "no file")
    return ForeignFile(path, what, "remove it: a regular file belongs there")
