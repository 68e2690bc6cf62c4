"""Files that appear whole or not at all, on a local disk or, through fsspec, on object storage.

A file is written under a temporary name in its own folder, synced, and then linked or renamed to its real
name. Temporary names start with ``.tmp-``; nothing ever reads or lists them, so those of a killed process are
an orphan file and never data. On object storage one conditional put does the same.

On a local disk everything that is read, written or deleted is the lake's own: storage/containment.py. What is not
raises ForeignFile.
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

ROW_GROUP_BYTES = 64 * 2**20  # a reader holds one row group at a time; 64 MiB fits any worker

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_REFUSED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.ENOTSUP})


class Files:
    """Paths relative to one root, a folder or any URL that fsspec knows; ``uri`` opens the same root again.

    Links may lead out of the root into folders that are ``lent`` to it. Raises LakeNotWritable for a root that has no
    path, or one that not everybody who is handed it can read.
    """

    def __init__(self, root: str | Path, lent: Sequence[str] = ()) -> None:
        address = root if isinstance(root, Address) else Address(str(root))
        text, self.lent = address.whole, lent
        self.local = "://" not in text or text.startswith("file://")
        if self.local:
            self.root = self.uri = containment.root_of(text.removeprefix("file://"))
            self._fs: Any = None
        else:
            import fsspec

            self._fs, self.root = fsspec.url_to_fs(text)
            self.uri = address  # fsspec's own path has lost the protocol

    def path(self, name: str) -> str:
        """The full path of ``name``, to be shown, or to be made; nothing is looked at."""
        return containment.path_of(self.root, name)

    def regular(self, name: str) -> str:
        """The full path of a file, for readers such as DuckDB; FileNotFoundError when there is none."""
        return containment.regular(self.root, name, self.lent) if self.local else self.path(name)

    def found(self, name: str) -> str | None:
        """The same, None when there is none."""
        try:
            return self.regular(name) if self.local or self.exists(name) else None
        except (FileNotFoundError, NotADirectoryError):
            return None

    def folder(self, name: str) -> str:
        """The full path of a folder, for readers such as Delta's, whether it is there or not."""
        return self._way(f"{name}/").rstrip("/") if name else self.root

    def _way(self, name: str) -> str:
        """The full path of what is not behind a link out of the lake, though it may itself be one."""
        return containment.way(self.root, name, self.lent) if self.local else self.path(name)

    def create(self, name: str, data: bytes) -> None:
        """Create ``name`` with ``data``, whole; FileExistsError when it exists already.

        Raises DiskFull and LakeNotWritable. When it returns, the bytes and the name are on the disk.
        """
        if self.local:
            self._place(name, lambda out: out.write(data), os.link)
        else:
            self._fs.pipe_file(self.path(name), data, mode="create")

    def put(self, name: str, data: bytes) -> None:
        """Write ``data`` under ``name``, whole, replacing what was there; errors as those of ``create``."""
        if self.local:
            self._place(name, lambda out: out.write(data), os.replace)
        else:
            self._fs.pipe_file(self.path(name), data)

    def write_parquet(self, name: str, table: "pa.Table") -> tuple[int, str]:
        """Write ``table`` as zstd Parquet under ``name``, replacing it; returns (size, SHA-256) of the bytes.

        Row groups stay under 64 MiB before compression (a single longer row is its own group).
        Raises DiskFull and LakeNotWritable.
        """
        tally = _Tally()
        if self.local:
            self._place(name, lambda out: _write_groups(tally.into(out), table), os.replace)
        else:
            with self._fs.open(self.path(name), "wb") as out:
                _write_groups(tally.into(out), table)
        return tally.size, tally.hash.hexdigest()

    def parquet_digest(self, table: "pa.Table") -> str:
        """The SHA-256 of the bytes that `write_parquet` would write."""
        tally = _Tally()
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - the Path spelling is no different
            _write_groups(tally.into(nowhere), table)
        return tally.hash.hexdigest()

    def read(self, name: str) -> bytes:
        """The whole content; FileNotFoundError when there is none."""
        if self.local:
            return containment.read(self.root, name, self.lent)
        return bytes(self._fs.cat_file(self.path(name)))

    def buffer(self, name: str) -> "pa.Buffer":
        """The whole content as an Arrow buffer, mapped rather than copied on a local disk."""
        import pyarrow as pa

        if self.local and self.size(name):
            with pa.memory_map(self.regular(name)) as source:
                return source.read_buffer()
        return pa.py_buffer(self.read(name))

    def size(self, name: str) -> int | None:
        """Bytes under ``name``, None when there is no such file, -1 when it is not a file."""
        if self.local:
            return containment.size(self.root, name, self.lent)
        try:
            return int(self._fs.info(self.path(name))["size"])
        except (FileNotFoundError, NotADirectoryError):
            return None

    def touch(self, name: str) -> None:
        """Mark ``name`` as used, by its time; does nothing if it is gone or its time cannot be set."""
        if self.local:
            path = self._way(name)
            with contextlib.suppress(OSError, NotImplementedError):
                os.utime(path, follow_symlinks=False)

    def exists(self, name: str) -> bool:
        return self.size(name) is not None

    def list(self, folder: str) -> list[str]:
        """The names directly inside ``folder``, sorted; empty when it does not exist."""
        try:
            if self.local:
                names = os.listdir(self.folder(folder))  # noqa: PTH208 - names, not Path objects by the thousand
            else:
                names = [path.rsplit("/", 1)[-1] for path in self._fs.ls(self.path(folder), detail=False)]
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(name for name in names if not name.startswith(".tmp-"))

    def move(self, name: str, to: str) -> None:
        """Rename inside the lake; FileNotFoundError when ``name`` is gone."""
        if self.local:
            path, aside = self._way(name), self._way(to)
            with self._explained(name):
                Path(path).rename(aside)
        else:
            self._fs.mv(self.path(name), self.path(to))

    def set_aside(self, name: str) -> None:
        """Rename a file that is damaged to one that nothing reads; nothing happens when it is gone."""
        with contextlib.suppress(FileNotFoundError):  # or another process has just moved it
            self.move(name, f"{name}.discarded-{time.time_ns()}")

    def remove(self, name: str) -> None:
        """Delete one file; nothing happens when it is gone."""
        path = self._way(name)
        with contextlib.suppress(FileNotFoundError):
            Path(path).unlink() if self.local else self._fs.rm_file(path)

    def remove_folder(self, folder: str) -> None:
        """Delete ``folder`` with everything in it; of a link nothing is deleted."""
        path = self._way(folder)
        if self.local and Path(path).is_symlink():
            raise ForeignFile(path, "a link", "remove it: a folder belongs there")
        with self._explained(folder):
            shutil.rmtree(path) if self.local else self._fs.rm(path, recursive=True)

    def make_folder(self, folder: str) -> None:
        """Create ``folder`` and its parents, on disk when this returns."""
        if not self.local:
            return
        target = Path(self.folder(folder))
        with self._explained(folder):
            new = [p for p in (target, *target.parents) if not p.exists()]
            try:
                target.mkdir(parents=True, exist_ok=True)
            except FileExistsError as error:
                raise NotADirectoryError(errno.ENOTDIR, "a file is where a folder should be") from error
            except FileNotFoundError as error:  # what /proc answers, where nothing can be made
                raise PermissionError(errno.EACCES, "no folder can be made there") from error
            for made in new:
                _sync_folder(made.parent)

    def _place(self, name: str, fill: Callable[[IO[bytes]], Any], publish: Callable[[str, str], None]) -> None:
        folder = name.rpartition("/")[0]
        self.make_folder(folder)
        final = self._way(name)
        temporary = f"{self.path(folder)}/.tmp-{uuid.uuid4().hex}"
        with self._explained(name):
            try:
                with open(temporary, "xb") as out:  # noqa: PTH123 - the Path spelling is no different
                    fill(out)
                    out.flush()
                    os.fsync(out.fileno())
                publish(temporary, final)
            finally:
                with contextlib.suppress(OSError):
                    Path(temporary).unlink()
            _sync_folder(Path(final).parent)

    @contextlib.contextmanager
    def _explained(self, name: str) -> Iterator[None]:
        """Turn the operating system's refusals into the lake's two errors."""
        try:
            yield
        except OSError as error:
            if error.errno in _FULL:
                raise DiskFull(self._no_room(name, error)) from error
            if error.errno in _REFUSED and not isinstance(error, FileExistsError):
                raise LakeNotWritable(
                    f"cannot write {self.path(name)}: {error.strerror}; check the folder's permissions and mount"
                ) from error
            raise

    def _no_room(self, name: str, error: OSError) -> str:
        there = next(p for p in (Path(self.path(name)), *Path(self.path(name)).parents) if p.exists())
        free = shutil.disk_usage(there).free
        limit = "" if error.errno == errno.ENOSPC else ", a quota or file size limit applies"
        why = f"{error.strerror}; {free} bytes free{limit}"
        return f"no room for {self.path(name)} ({why}); free some and run again"


class _Tally(io.RawIOBase):
    """A write-only stream that counts and hashes on the way to another one."""

    def __init__(self) -> None:
        self.size = 0
        self.hash = hashlib.sha256()
        self._out: IO[bytes] | None = None

    def into(self, out: IO[bytes]) -> "_Tally":
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


def _write_groups(out: _Tally, table: "pa.Table") -> None:
    import pyarrow as pa
    from pyarrow import parquet

    # A dictionary pays for text only: floating-point values hardly repeat.
    text = [field.name for field in table.schema if pa.types.is_string(field.type)]
    with parquet.ParquetWriter(out, table.schema, compression="zstd", use_dictionary=text) as writer:
        for group in _groups(table):
            writer.write_table(group, row_group_size=max(1, group.num_rows))


def _groups(table: "pa.Table") -> Iterator["pa.Table"]:
    """Halve until each piece is under the limit: rows may differ in length, so an average would not do."""
    if table.nbytes < ROW_GROUP_BYTES or table.num_rows <= 1:
        yield table
        return
    half = table.num_rows // 2
    yield from _groups(table.slice(0, half))
    yield from _groups(table.slice(half))


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
