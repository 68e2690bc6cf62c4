"""Files from anywhere: local files, or bounded copies of files on http and object storage."""

from __future__ import annotations

import io
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import fsspec

from editflow.editing.errors import first_line
from editflow.storage.address import Address, variables
from editflow.tasks.errors import TaskError, UnknownSource, no_such_file
from editflow.tasks.sources.download import NETWORK, download, host_of
from editflow.tasks.temporary_folders import temporary_folder

LEAST_UNPACKED = 2**30
"""Bytes that any packed file may unpack to."""
RATIO = 100
"""How many times its size a larger file may unpack to: of texts that is five, of a file of nothing a thousand."""
IDLE = 16 * 2**20
"""Bytes of a packed file that may unpack to nothing: endless padding, or streams that are all empty, take hours."""
_IN_PROCESS = frozenset({"memory"})
_LOCAL = frozenset({"file", "local"})
_SCHEME = re.compile(r"\s*([A-Za-z][A-Za-z0-9+.\-]*)(?:://|::)")


def needs_network(source: str) -> bool:
    """Whether a source is read from another machine: an address of http or object storage, or `hub:`.

    The id of a model on the hub looks like a folder, and is not recognised here.
    """
    scheme, _, place = _parts(Address(source).whole)
    return scheme in NETWORK or place.startswith("hub:")


def sender(source: str) -> str:
    """The host that a source of another machine comes from, and the variables whose values it gets."""
    address = Address(source)
    _, _, place = _parts(address.whole)
    host = "the hub" if place.startswith("hub:") else host_of(place)
    names = variables(address)
    return f"{host}, which gets the values of {', '.join(names)}" if names else host


@contextmanager
def local_copy(source: str) -> Iterator[str]:
    """Where a source can be read, as often as needed and from any place: itself, or a copy of what another machine has.

    The copy goes when the block ends, however it does, and is called by its ending alone, by which forms and packing
    are told. Raises UnknownSource, also for an address that nothing here reads.
    """
    address = Address(source)
    scheme, member, place = _parts(address.whole)
    inside = f"zip://{member}::" if member else ""
    if scheme in NETWORK:
        with temporary_folder("copy") as folder:
            copy = folder / f"copy{_ending(place)}"
            download(address, place, copy)
            yield inside + str(copy)
    elif not scheme or scheme in _LOCAL | _IN_PROCESS:
        yield inside + (place.partition("://")[2] if scheme in _LOCAL else place)
    else:
        readable = "http, https, s3, gs, az, abfs, hf, file or memory, also behind zip://MEMBER::"
        raise no_such_file(address, f"{scheme} is not read, but {readable}")


def opened(place: str, source: str) -> IO[bytes]:
    """A place for reading, unpacked by its ending. Raises UnknownSource, which names the source."""
    address = Address(source)
    try:
        return _opened(place, address)
    except TaskError:
        raise
    except FileNotFoundError:
        raise no_such_file(address) from None
    except Exception as error:  # noqa: BLE001  (each file system of fsspec fails in its own way)
        raise no_such_file(address, address.without_secrets(first_line(error))) from None


def named(place: str) -> str:
    """The name that gives a place's format: that of the file inside an archive, else its own."""
    _, member, rest = _parts(place)
    return member or rest


def _opened(place: str, address: Address) -> IO[bytes]:
    scheme, member, path = _parts(place)
    if scheme in _IN_PROCESS:
        return fsspec.open(place, "rb", compression="infer").open()  # type: ignore[no-any-return]
    file = _regular(path, address)
    form = fsspec.utils.infer_compression(path)
    if not member and form is None:
        return file
    packed = _Packed(file)
    try:
        inner = _unpacked(io.BufferedReader(packed), member, form)
        packed.idle = 0  # an archive's list of files is read first
    except BaseException:
        packed.close()
        raise
    return io.BufferedReader(_Bounded(inner, packed), 1 << 16)


def _unpacked(file: IO[bytes], member: str, form: str | None) -> IO[bytes]:
    if member:
        import zipfile

        return zipfile.ZipFile(file).open(member)
    unpacked: IO[bytes] = fsspec.compression.compr[form](file, mode="rb")
    return unpacked


def _regular(path: str, address: Address) -> IO[bytes]:
    """A file that has an end and can be read twice. A pipe is not waited for, a device not read."""
    place = Path(path).expanduser()
    _refuse_special(place.stat().st_mode, address)
    # Another file may be there by now: the open one is checked again, and a pipe opens without waiting.
    file = open(os.open(place, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")  # noqa: PTH123, SIM115
    try:
        _refuse_special(os.fstat(file.fileno()).st_mode, address)
    except UnknownSource:
        file.close()
        raise
    return file


def _refuse_special(mode: int, address: Address) -> None:
    if not stat.S_ISREG(mode):
        kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
        what = f"this is {kinds.get(stat.S_IFMT(mode), 'a device')}"
        raise no_such_file(address, what, "give a regular file, which can be read twice")


def _parts(text: str) -> tuple[str, str, str]:
    """(scheme or "", file inside an archive or "", the rest) of a source or place."""
    start = _SCHEME.match(text)
    if start is None:
        return "", "", text
    scheme = start[1].lower()
    if scheme == "zip" and "::" in text:
        member, _, rest = text[start.end() :].partition("::")
        inner = _SCHEME.match(rest)
        inner_scheme = inner[1].lower() if inner else ""
        return (inner_scheme, member, rest) if member and inner_scheme != "zip" else ("zip", "", text)
    if "://" not in start[0] and "://" not in text:  # `a::b` is the name of a file
        return "", "", text
    return scheme, "", text


def _ending(place: str) -> str:
    """`.jsonl.gz` of `https://host/facts.jsonl.gz?download=true`."""
    path = re.split(r"[?#]", place, maxsplit=1)[0]
    found = re.search(r"(\.\w{1,8}){1,2}\Z", path.rpartition("/")[2])
    return found[0] if found else ""


class _Packed(io.RawIOBase):
    """A packed file, until too much of it has been read that unpacks to nothing."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self.idle = file, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return self._file.seek(offset, whence)

    def fileno(self) -> int:
        return self._file.fileno()

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(len(buffer))
        self.idle += len(data)
        if self.idle > IDLE:
            raise OSError(f"more than {IDLE / 2**20:,.0f} MiB of it unpack to nothing")
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


class _Bounded(io.RawIOBase):
    """What a packed file unpacks to, until that is more than any data has."""

    def __init__(self, inner: IO[bytes], packed: _Packed) -> None:
        self._inner, self._packed, self._done = inner, packed, 0
        self._most = max(LEAST_UNPACKED, RATIO * os.fstat(packed.fileno()).st_size)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._inner.read(len(buffer))
        self._done += len(data)
        self._packed.idle = 0
        if self._done > self._most:
            raise OSError(f"it unpacks to more than {self._most / 2**30:,.1f} GiB, {RATIO} times its size")
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._inner.close()
            self._packed.close()
        super().close()
