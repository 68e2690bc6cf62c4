"""Paths inside a lake; a path that leads out of the lake's root is refused.

A lake may come from an untrusted source. A link in it can lead to another lake or to any file of the user, reading a
named pipe blocks forever, and opening a device can have any effect. Therefore every folder on a path is checked, and
only regular files are opened. Links are followed as long as they stay inside the lake; the root itself may be a link,
because its owner has chosen it. Nothing is cached: a path may become a link between two reads.

Cost: one or two microseconds for each folder on the path.
"""

from __future__ import annotations

import errno
import os
import stat
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from editflow.storage.errors import ForeignFile, LakeNotWritable

MAX_BYTES = 2**28
"""The largest record that is read into memory: four million ids."""
_OPEN_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FILE_TYPES = (
    (stat.S_ISLNK, "a link"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISCHR, "a device"),
)
_FORBIDDEN = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode categories: control characters, surrogates (bytes that are not text), line and paragraph separators."""


def absolute_root(text: str) -> str:
    """The absolute path of a lake's folder. Raises LakeNotWritable for a path that no lake can have."""
    try:
        path = str(Path(text).expanduser().absolute())
    except RuntimeError as error:
        raise LakeNotWritable(f"lake {text}: there is no such user; give the folder's absolute path") from error
    if forbidden := [character for character in path if unicodedata.category(character) in _FORBIDDEN]:
        what = "a line break" if forbidden[0] in "\r\n" else f"the character U+{ord(forbidden[0]):04X}"
        raise LakeNotWritable(f"lake {text!r}: its path contains {what}; choose a folder without it")
    return path


def join(root: str, name: str) -> str:
    """The full path of a name. Raises ForeignFile for a name that leads out of the root."""
    if ".." in name or "//" in name or name[:1] == "/" or "\0" in name:  # cheap; most names end here
        parts = name.split("/")
        if ".." in parts or "" in parts or "\0" in name:
            raise ForeignFile(f"{root}/{name}", "not a name inside the lake", "remove the entry that refers to it")
    return f"{root}/{name}"


def contained_path(root: str, name: str, allowed_roots: Sequence[str] = ()) -> str:
    """The full path of a name, whose folders may be links within the lake or into the `allowed_roots`.

    Raises ForeignFile for a folder that is any other link.
    """
    path, end = join(root, name), name.find("/")
    while end > 0:
        folder = f"{root}/{name[:end]}"
        try:
            mode = os.lstat(folder).st_mode
        except (OSError, ValueError):  # using the path raises the error
            break
        if stat.S_ISLNK(mode):
            resolve_link(root, folder, allowed_roots)
        end = name.find("/", end + 1)
    return path


def resolve_link(root: str, link: str, allowed_roots: Sequence[str] = ()) -> str:
    """The target of a link. Raises ForeignFile unless it is inside the lake or one of the `allowed_roots`."""
    target = os.path.realpath(link)
    if os.path.islink(target):  # noqa: PTH114 - strings, as above
        raise ForeignFile(link, "a link that leads to itself", "remove it")
    for allowed in map(os.path.realpath, (root, *allowed_roots)):
        if target == allowed or target.startswith(f"{allowed.rstrip('/')}/"):
            return target
    raise ForeignFile(link, "a link out of the lake", "remove it, or replace it by a copy of its target")


def regular_file(root: str, name: str, allowed_roots: Sequence[str] = ()) -> str:
    """The path of a regular file, or of a link to one. Raises FileNotFoundError, and ForeignFile for anything else."""
    path = contained_path(root, name, allowed_roots)
    _resolve_file(root, path, allowed_roots)
    return path


def _resolve_file(root: str, path: str, allowed_roots: Sequence[str]) -> str:
    """The path of a regular file with links resolved."""
    target, mode = path, os.lstat(path).st_mode
    if stat.S_ISLNK(mode):
        target = resolve_link(root, path, allowed_roots)
        mode = os.lstat(target).st_mode
    if not stat.S_ISREG(mode):
        raise foreign_file(path, mode)
    return target


def read(root: str, name: str, allowed_roots: Sequence[str] = ()) -> bytes:
    """The content of a regular file of at most `MAX_BYTES`.

    Raises FileNotFoundError, and ForeignFile for a larger file or anything that is not a regular file.
    """
    path = contained_path(root, name, allowed_roots)
    target = _resolve_file(root, path, allowed_roots)
    try:
        handle = os.open(target, _OPEN_FLAGS)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENXIO}:  # another process has just replaced the file
            raise foreign_file(path, os.lstat(path).st_mode) from error
        raise
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise foreign_file(path, status.st_mode)
        if status.st_size > MAX_BYTES:
            raise ForeignFile(path, f"larger than any record ({status.st_size} bytes)", "restore it, or remove it")
        content = os.read(handle, status.st_size + 1)
        while len(content) < status.st_size and (more := os.read(handle, status.st_size - len(content))):
            content += more
        return content
    finally:
        os.close(handle)


def size(root: str, name: str, allowed_roots: Sequence[str] = ()) -> int | None:
    """The size of a regular file in bytes; None if nothing exists there, -1 for anything that is not a file."""
    path = contained_path(root, name, allowed_roots)
    try:
        status = os.lstat(path)
        if stat.S_ISLNK(status.st_mode):
            status = os.lstat(resolve_link(root, path, allowed_roots))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ForeignFile:
        return -1
    return status.st_size if stat.S_ISREG(status.st_mode) else -1


def foreign_file(path: str, mode: int) -> ForeignFile:
    """The error that names what exists at the path instead of a regular file."""
    what = next((name for is_type, name in _FILE_TYPES if is_type(mode)), "not a file")
    return ForeignFile(path, what, "remove it: a regular file belongs there")
