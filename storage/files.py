"""Atomic writes of files on a local disk or, through fsspec, on object storage.

A file is written under a temporary name in its own folder, synced, and then linked or renamed to its final name.
Temporary names start with ``.tmp-`` and are never read or listed, so a killed process leaves only an orphan file. On
object storage one conditional put does the same.

On a local disk, only files of the lake are read, written or deleted (storage/containment.py); others raise ForeignFile.
"""

import contextlib
import errno
import hashlib
import io
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from editflow.storage import containment
from editflow.storage.address import Address
from editflow.storage.errors import DiskFull, ForeignFile, LakeNotWritable

if TYPE_CHECKING:
    import pyarrow as pa
    from typing_extensions import Buffer

ROW_GROUP_BYTES = 64 * 2**20
"""A reader holds one row group at a time; 64 MiB fits any worker."""

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_REFUSED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.ENOTSUP})


class Files:
    """Files under one root: a folder, or any URL that fsspec supports. ``uri`` opens the same root again.

    Links may lead out of the root into the ``allowed_roots``. Raises LakeNotWritable for a root without a path, or with
    characters that other programs cannot read.
    """

    def __init__(self, root: str | Path, allowed_roots: Sequence[str] = ()) -> None:
        address = root if isinstance(root, Address) else Address(str(root))
        text, self.allowed_roots = address.full, allowed_roots
        self.local = "://" not in text or text.startswith("file://")
        if self.local:
            self.root = self.uri = containment.absolute_root(text.removeprefix("file://"))
            self._fs: Any = None
        else:
            import fsspec

            self._fs, self.root = fsspec.url_to_fs(text)
            self.uri = address  # fsspec's own path has lost the protocol

    def path(self, name: str) -> str:
        """The full path of ``name``, for display or to create it; the file system is not read."""
        return containment.join(self.root, name)

    def file_path(self, name: str) -> str:
        """The full path of a file, for readers such as DuckDB. Raises FileNotFoundError."""
        return containment.regular_file(self.root, name, self.allowed_roots) if self.local else self.path(name)

    def find(self, name: str) -> str | None:
        """The full path of a file, or None if it does not exist."""
        try:
            return self.file_path(name) if self.local or self.exists(name) else None
        except (FileNotFoundError, NotADirectoryError):
            return None

    def folder_path(self, name: str) -> str:
        """The full path of a folder, for readers such as Delta; it need not exist."""
        return self._contained_path(f"{name}/").rstrip("/") if name else self.root

    def _contained_path(self, name: str) -> str:
        """The full path of ``name``, none of whose folders is a link out of the lake; ``name`` itself may be one."""
        return containment.contained_path(self.root, name, self.allowed_roots) if self.local else self.path(name)

    def create(self, name: str, data: bytes) -> None:
        """Create ``name`` with ``data`` atomically. Bytes and name are on the disk when this returns.

        Raises FileExistsError, DiskFull and LakeNotWritable.
        """
        if self.local:
            self._write_file(name, lambda out: out.write(data), os.link)
        else:
            self._fs.pipe_file(self.path(name), data, mode="create")

    def put(self, name: str, data: bytes) -> None:
        """Create or replace ``name`` atomically. Raises DiskFull and LakeNotWritable."""
        if self.local:
            self._write_file(name, lambda out: out.write(data), os.replace)
        else:
            self._fs.pipe_file(self.path(name), data)

    def write_parquet(self, name: str, table: "pa.Table") -> tuple[int, str]:
        """Create or replace ``name`` as zstd Parquet; returns the file's (size, SHA-256).

        Row groups are under 64 MiB before compression, except for a single longer row. Raises DiskFull and
        LakeNotWritable.
        """
        stream = _HashingStream()
        if self.local:
            self._write_file(name, lambda out: _write_groups(stream.into(out), table), os.replace)
        else:
            with self._fs.open(self.path(name), "wb") as out:
                _write_groups(stream.into(out), table)
        return stream.size, stream.hash.hexdigest()

    def parquet_digest(self, table: "pa.Table") -> str:
        """The SHA-256 of the bytes that `write_parquet` would write."""
        stream = _HashingStream()
        with open(os.devnull, "wb") as null:  # noqa: PTH123 - as short as with Path
            _write_groups(stream.into(null), table)
        return stream.hash.hexdigest()

    def read(self, name: str) -> bytes:
        """The whole content. Raises FileNotFoundError."""
        if self.local:
            return containment.read(self.root, name, self.allowed_roots)
        return bytes(self._fs.cat_file(self.path(name)))

    def buffer(self, name: str) -> "pa.Buffer":
        """The whole content as an Arrow buffer; on a local disk it is mapped, not copied."""
        import pyarrow as pa

        if self.local and self.size(name):
            with pa.memory_map(self.file_path(name)) as source:
                return source.read_buffer()
        return pa.py_buffer(self.read(name))

    def size(self, name: str) -> int | None:
        """The size in bytes; None if nothing exists under ``name``, -1 if it is not a file."""
        if self.local:
            return containment.size(self.root, name, self.allowed_roots)
        try:
            return int(self._fs.info(self.path(name))["size"])
        except (FileNotFoundError, NotADirectoryError):
            return None

    def touch(self, name: str) -> None:
        """Set the modification time of ``name``; does nothing if it does not exist or its time cannot be set."""
        if self.local:
            path = self._contained_path(name)
            with contextlib.suppress(OSError, NotImplementedError):
                os.utime(path, follow_symlinks=False)

    def exists(self, name: str) -> bool:
        return self.size(name) is not None

    def list(self, folder: str) -> list[str]:
        """The sorted names directly inside ``folder``; empty if it does not exist."""
        try:
            if self.local:
                names = os.listdir(self.folder_path(folder))  # noqa: PTH208 - names, not thousands of Path objects
            else:
                names = [path.rsplit("/", 1)[-1] for path in self._fs.ls(self.path(folder), detail=False)]
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(name for name in names if not name.startswith(".tmp-"))

    def move(self, name: str, to: str) -> None:
        """Rename a file inside the lake. Raises FileNotFoundError."""
        if self.local:
            path, target = self._contained_path(name), self._contained_path(to)
            with self._explain_errors(name):
                Path(path).rename(target)
        else:
            self._fs.mv(self.path(name), self.path(to))

    def set_aside(self, name: str) -> None:
        """Rename a damaged file so that nothing reads it; does nothing if it does not exist."""
        with contextlib.suppress(FileNotFoundError):  # another process may have just moved it
            self.move(name, f"{name}.discarded-{time.time_ns()}")

    def remove(self, name: str) -> None:
        """Delete one file; does nothing if it does not exist."""
        path = self._contained_path(name)
        with contextlib.suppress(FileNotFoundError):
            Path(path).unlink() if self.local else self._fs.rm_file(path)

    def remove_folder(self, folder: str) -> None:
        """Delete ``folder`` with everything in it. Raises ForeignFile for a link, whose target is not touched."""
        path = self._contained_path(folder)
        if self.local and Path(path).is_symlink():
            raise ForeignFile(path, "a link", "remove it: a folder belongs there")
        with self._explain_errors(folder):
            shutil.rmtree(path) if self.local else self._fs.rm(path, recursive=True)

    def make_folder(self, folder: str) -> None:
        """Create ``folder`` and its parents; they are on the disk when this returns."""
        if not self.local:
            return
        target = Path(self.folder_path(folder))
        with self._explain_errors(folder):
            new = [p for p in (target, *target.parents) if not p.exists()]
            try:
                target.mkdir(parents=True, exist_ok=True)
            except FileExistsError as error:
                raise NotADirectoryError(errno.ENOTDIR, "a file is in the place of a folder") from error
            except FileNotFoundError as error:  # the error of /proc, where no folder can be created
                raise PermissionError(errno.EACCES, "no folder can be created there") from error
            for created in new:
                sync(created.parent)

    def _write_file(self, name: str, fill: Callable[[IO[bytes]], Any], publish: Callable[[str, str], None]) -> None:
        """Write a temporary file with `fill`, sync it, and give it its name with `publish` (os.link or os.replace)."""
        folder = name.rpartition("/")[0]
        self.make_folder(folder)
        final = self._contained_path(name)
        temporary = f"{self.path(folder)}/.tmp-{uuid.uuid4().hex}"
        with self._explain_errors(name):
            try:
                with open(temporary, "xb") as out:  # noqa: PTH123 - as short as with Path
                    fill(out)
                    out.flush()
                    os.fsync(out.fileno())
                publish(temporary, final)
            finally:
                with contextlib.suppress(OSError):
                    Path(temporary).unlink()
            sync(Path(final).parent)

    @contextlib.contextmanager
    def _explain_errors(self, name: str) -> Iterator[None]:
        """Turn errors of the operating system into DiskFull and LakeNotWritable."""
        try:
            yield
        except OSError as error:
            if error.errno in _FULL:
                raise DiskFull(self._disk_full_message(name, error)) from error
            if error.errno in _REFUSED and not isinstance(error, FileExistsError):
                raise LakeNotWritable(
                    f"cannot write {self.path(name)}: {error.strerror}; check the folder's permissions and mount"
                ) from error
            raise

    def _disk_full_message(self, name: str, error: OSError) -> str:
        path = Path(self.path(name))
        existing = next(p for p in (path, *path.parents) if p.exists())
        free = shutil.disk_usage(existing).free
        limit = "" if error.errno == errno.ENOSPC else ", a quota or file size limit applies"
        why = f"{error.strerror}; {free} bytes free{limit}"
        return f"no space left for {path} ({why}); free some and run again"


class _HashingStream(io.RawIOBase):
    """A write-only stream that counts and hashes the bytes that it passes on to another stream."""

    def __init__(self) -> None:
        self.size = 0
        self.hash = hashlib.sha256()
        self._out: IO[bytes] | None = None

    def into(self, out: IO[bytes]) -> "_HashingStream":
        self._out = out
        return self

    def writable(self) -> bool:
        return True

    def write(self, data: "Buffer") -> int:
        if self._out is None:
            raise ValueError("no stream to write to")
        view = memoryview(data).cast("B")
        self._out.write(view)
        self.hash.update(view)
        self.size += len(view)
        return len(view)


def _write_groups(out: _HashingStream, table: "pa.Table") -> None:
    import pyarrow as pa
    from pyarrow import parquet

    # Only text is dictionary-encoded: floating-point values hardly ever repeat.
    text = [field.name for field in table.schema if pa.types.is_string(field.type)]
    with parquet.ParquetWriter(out, table.schema, compression="zstd", use_dictionary=text) as writer:
        for group in _groups(table):
            writer.write_table(group, row_group_size=max(1, group.num_rows))


def _groups(table: "pa.Table") -> Iterator["pa.Table"]:
    """Halve the table until each piece is under the limit; rows differ in length, so an average would not be enough."""
    if table.nbytes < ROW_GROUP_BYTES or table.num_rows <= 1:
        yield table
        return
    half = table.num_rows // 2
    yield from _groups(table.slice(0, half))
    yield from _groups(table.slice(half))


def sync(path: Path) -> None:
    """Flush a file or folder to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
