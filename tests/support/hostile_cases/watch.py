"""Observes files, processes and connections, to detect forbidden effects."""

from __future__ import annotations

import ctypes
import hashlib
import os
import socket
import stat
import threading
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

MARK = "EDITFLOW_CANARY_RAN"
"""The environment variable that foreign code sets."""
Seen = dict[str, tuple[int, ...]]


def seen(folder: Path, without: tuple[Path, ...] = ()) -> Seen:
    """{path: type, inode, size and time} of all entries below a folder."""
    found: Seen = {}
    skipped = set(map(str, without))
    waiting = [str(folder)]
    while waiting:
        for entry in os.scandir(waiting.pop()):
            if entry.path in skipped:
                continue
            s = entry.stat(follow_symlinks=False)
            if entry.is_dir(follow_symlinks=False):
                found[entry.path] = (stat.S_IFMT(s.st_mode), s.st_ino)
                waiting.append(entry.path)
            else:
                found[entry.path] = (s.st_mode, s.st_ino, s.st_size, s.st_mtime_ns)
    return found


def moved(before: Seen, after: Seen) -> list[str]:
    """The paths that were added, removed or changed."""
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


def digest(folder: Path) -> str:
    """A hash of all file names and contents below a folder."""
    total = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        total.update(f"{path}\0".encode() + path.read_bytes())
    return total.hexdigest()


class Listener:
    """A local server that counts connections and gives mostly useless responses."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.connections = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                caller, _ = self.socket.accept()
                self.connections += 1
                with caller, suppress(OSError):
                    caller.settimeout(1)
                    request = caller.recv(65536)
                    caller.sendall(self._respond(request))

    def _respond(self, request: bytes) -> bytes:
        if b"/moved" in request:
            place = f"http://127.0.0.1:{self.port}/moved"
            return f"HTTP/1.1 302 Found\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n".encode()
        if b"/cut" in request:
            return b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"subject": "x"'
        if b"/junk" in request:
            return b"\x00\xff\x00 no protocol at all\r\n"
        if b"/facts" in request:
            row = b'{"subject": "Lyon", "prompt": "{} is in", "target_new": "Italy"}\n'
            return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(row) + row
        return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"

    def close(self) -> None:
        self.socket.close()


def adopt() -> None:
    """Adopt orphaned processes, so that `children` finds all of them."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER


def children() -> set[int]:
    """The living child processes."""
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):
            found |= set(map(int, (task / "children").read_text().split()))
    return {pid for pid in found if _is_alive(pid)}


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def contents(path: Path) -> Iterator[bytes]:
    """The contents of a file: its bytes, the parts of a zip file, and the values of a Parquet file."""
    data = path.read_bytes()
    yield data
    if data.startswith(b"PK"):
        with suppress(zipfile.BadZipFile, OSError, RuntimeError), zipfile.ZipFile(path) as archive:
            yield from (archive.read(name) for name in archive.namelist())
    if data.startswith(b"PAR1"):
        import pyarrow as pa
        from pyarrow import parquet

        with suppress(pa.ArrowException, OSError, ValueError, TypeError):
            yield str(parquet.read_table(path).to_pydict()).encode()
