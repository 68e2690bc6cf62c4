"""Files from any source: local files, or copies of files on http and object storage."""

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
from editflow.storage.address import Address, variable_names
from editflow.tasks.errors import TaskError, UnknownSource, no_such_file
from editflow.tasks.sources.download import NETWORK, download, host_of
from editflow.tasks.temporary_folders import temporary_folder

MIN_UNPACKED_LIMIT = 2**30
"""Bytes that any compressed file may unpack to."""
MAX_RATIO = 100
"""Maximum ratio of unpacked to compressed size, for larger files: text has about 5, a file of zeros 1,000."""
MAX_IDLE_BYTES = 16 * 2**20
"""Bytes of a compressed file that may unpack to nothing: endless padding or empty streams would take hours."""
_IN_PROCESS = frozenset({"memory"})
_LOCAL = frozenset({"file", "local"})
_SCHEME = re.compile(r"\s*([A-Za-z][A-Za-z0-9+.\-]*)(?:://|::)")


def needs_network(source: str) -> bool:
    """Whether a source is on another machine: an address of http or object storage, or `hub:`.

    The id of a model on the hub looks like a folder and is not recognised.
    """
    scheme, _, place = _parts(Address(source).full)
    return scheme in NETWORK or place.startswith("hub:")


def receiving_host(source: str) -> str:
    """The host of a remote source, and the variables whose values it receives."""
    address = Address(source)
    _, _, place = _parts(address.full)
    host = "the hub" if place.startswith("hub:") else host_of(place)
    names = variable_names(address)
    return f"{host}, which receives the values of {', '.join(names)}" if names else host


@contextmanager
def local_copy(source: str) -> Iterator[str]:
    """A local place from which a source can be read repeatedly: the source itself, or a copy of a remote file.

    The copy is removed at the end of the block. It keeps only the suffix of the name, which determines format and
    compression. Raises UnknownSource, also for an unknown scheme.
    """
    address = Address(source)
    scheme, member, place = _parts(address.full)
    prefix = f"zip://{member}::" if member else ""
    if scheme in NETWORK:
        with temporary_folder("copy") as folder:
            copy = folder / f"copy{_suffixes(place)}"
            download(address, place, copy)
            yield prefix + str(copy)
    elif not scheme or scheme in _LOCAL | _IN_PROCESS:
        yield prefix + (place.partition("://")[2] if scheme in _LOCAL else place)
    else:
        readable = "http, https, s3, gs, az, abfs, hf, file or memory, also behind zip://MEMBER::"
        raise no_such_file(address, f"{scheme} is not supported, only {readable}")


def open_place(place: str, source: str) -> IO[bytes]:
    """Open a place for reading and unpack it according to its suffix. Raises UnknownSource, which names the source."""
    address = Address(source)
    try:
        return _opened(place, address)
    except TaskError:
        raise
    except FileNotFoundError:
        raise no_such_file(address) from None
    except Exception as error:  # noqa: BLE001  (the file systems of fsspec raise many classes)
        raise no_such_file(address, address.without_secrets(first_line(error))) from None


def format_name(place: str) -> str:
    """The name that determines the format: of the file inside an archive, or else of the place."""
    _, member, rest = _parts(place)
    return member or rest


def _opened(place: str, address: Address) -> IO[bytes]:
    scheme, member, path = _parts(place)
    if scheme in _IN_PROCESS:
        return fsspec.open(place, "rb", compression="infer").open()  # type: ignore[no-any-return]
    file = _open_regular(path, address)
    compression = fsspec.utils.infer_compression(path)
    if not member and compression is None:
        return file
    packed = _PackedFile(file)
    try:
        inner = _unpacked(io.BufferedReader(packed), member, compression)
        packed.idle = 0  # reading the list of files in an archive does not count
    except BaseException:
        packed.close()
        raise
    return io.BufferedReader(_UnpackedFile(inner, packed), 1 << 16)


def _unpacked(file: IO[bytes], member: str, compression: str | None) -> IO[bytes]:
    if member:
        import zipfile

        return zipfile.ZipFile(file).open(member)
    unpacked: IO[bytes] = fsspec.compression.compr[compression](file, mode="rb")
    return unpacked


def _open_regular(path: str, address: Address) -> IO[bytes]:
    """Open a regular file. Raises UnknownSource for a pipe or a device, without waiting for it."""
    place = Path(path).expanduser()
    _refuse_special(place.stat().st_mode, address)
    # The file may have been replaced since: check the open one again, and do not wait if it is a pipe.
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
        why = f"this is {kinds.get(stat.S_IFMT(mode), 'a device')}"
        raise no_such_file(address, why, "give a regular file, which can be read twice")


def _parts(text: str) -> tuple[str, str, str]:
    """(scheme or "", file inside an archive or "", the rest) of a source or a place."""
    start = _SCHEME.match(text)
    if start is None:
        return "", "", text
    scheme = start[1].lower()
    if scheme == "zip" and "::" in text:
        member, _, rest = text[start.end() :].partition("::")
        inner = _SCHEME.match(rest)
        inner_scheme = inner[1].lower() if inner else ""
        return (inner_scheme, member, rest) if member and inner_scheme != "zip" else ("zip", "", text)
    if "://" not in start[0] and "://" not in text:  # `a::b` is a file name
        return "", "", text
    return scheme, "", text


def _suffixes(place: str) -> str:
    """The suffixes of a name: `.jsonl.gz` of `https://host/facts.jsonl.gz?download=true`."""
    path = re.split(r"[?#]", place, maxsplit=1)[0]
    found = re.search(r"(\.\w{1,8}){1,2}\Z", path.rpartition("/")[2])
    return found[0] if found else ""


class _PackedFile(io.RawIOBase):
    """A compressed file. Raises OSError once more than MAX_IDLE_BYTES in a row unpack to nothing."""

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
        if self.idle > MAX_IDLE_BYTES:
            raise OSError(f"more than {MAX_IDLE_BYTES / 2**20:,.0f} MiB of it unpack to nothing")
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


class _UnpackedFile(io.RawIOBase):
    """The content of a compressed file. Raises OSError once it is larger than any real data."""

    def __init__(self, inner: IO[bytes], packed: _PackedFile) -> None:
        self._inner, self._packed, self._size = inner, packed, 0
        self._limit = max(MIN_UNPACKED_LIMIT, MAX_RATIO * os.fstat(packed.fileno()).st_size)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._inner.read(len(buffer))
        self._size += len(data)
        self._packed.idle = 0
        if self._size > self._limit:
            raise OSError(f"it unpacks to more than {self._limit / 2**30:,.1f} GiB")
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._inner.close()
            self._packed.close()
        super().close()
