"""What must not happen, and what notices when it does."""

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
    """{name: type, inode, size and time} of everything below a folder."""
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
    """What is new, gone or changed."""
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


def digest(folder: Path) -> str:
    """Of every byte below a folder."""
    total = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        total.update(f"{path}\0".encode() + path.read_bytes())
    return total.hexdigest()


class Listener:
    """A server on the loopback address that counts who comes, and answers in a way that is no use to anybody."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.came = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                caller, _ = self.socket.accept()
                self.came += 1
                with caller, suppress(OSError):
                    caller.settimeout(1)
                    asked = caller.recv(65536)
                    caller.sendall(self._answer(asked))

    def _answer(self, asked: bytes) -> bytes:
        if b"/moved" in asked:
            place = f"http://127.0.0.1:{self.port}/moved"
            return f"HTTP/1.1 302 Found\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n".encode()
        if b"/cut" in asked:
            return b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"subject": "x"'
        if b"/junk" in asked:
            return b"\x00\xff\x00 no protocol at all\r\n"
        if b"/facts" in asked:
            row = b'{"subject": "Lyon", "prompt": "{} is in", "target_new": "Italy"}\n'
            return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(row) + row
        return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"

    def close(self) -> None:
        self.socket.close()


def adopt() -> None:
    """Processes that lose their parent become ours, so that none can hide."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER


def children() -> set[int]:
    """The processes below this one that live."""
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):
            found |= set(map(int, (task / "children").read_text().split()))
    return {pid for pid in found if _lives(pid)}


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def told(path: Path) -> Iterator[bytes]:
    """Everything that a file says: its bytes, and what is packed in it."""
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
