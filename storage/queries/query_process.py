"""A query in its own process, which ends when its time is over and cannot exceed its memory.

DuckDB does not count all memory that a query uses, and does not stop in the middle of planning or of one call of a
function. The process can be ended at any moment: it writes nothing. Its answer comes as an Arrow stream.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from importlib.abc import MetaPathFinder
from pathlib import Path
from threading import Thread, Timer
from typing import IO, Any

import pyarrow as pa

from editflow.storage.errors import QueryRefused, StorageError
from editflow.storage.queries.query_limits import Limits

_SLACK = 2**30
"""Bytes beside those of DuckDB: the answer, and what libraries ask for and do not use."""
_GRACE = 5.0
"""Seconds beyond a query's time until its process is ended from outside."""
_READY = b"\n"
_START = "import sys; sys.path.append(sys.argv[1]); from editflow.storage.queries.query_process import serve; serve()"
_REFUSED = 3


def first_rows(lake: str, sql: str, limits: Limits) -> tuple[pa.Table, bool]:
    """As editflow.storage.queries.query.first_rows, for the lake at a path. Cost: the start of a process beside it."""
    # -P: nothing is imported from the folder in which the user happens to be.
    command = [sys.executable, "-P", "-c", _START, str(Path(__file__).parents[3])]
    with subprocess.Popen(  # noqa: S603 - our own words
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        late = Timer(limits.seconds + _GRACE, process.kill)
        late.daemon = True
        try:
            return _asked(process, {"lake": lake, "sql": sql, "limits": asdict(limits)}, late, limits)
        finally:
            late.cancel()
            process.kill()


def _asked(
    process: subprocess.Popen[bytes], request: dict[str, Any], late: Timer, limits: Limits
) -> tuple[pa.Table, bool]:
    stdin, stdout, stderr = process.stdin, process.stdout, process.stderr
    if stdin is None or stdout is None or stderr is None:
        raise RuntimeError("the process of a query has no pipes")
    errors = list[bytes]()
    reading = Thread(target=lambda: errors.append(stderr.read()), daemon=True)
    reading.start()
    with contextlib.suppress(BrokenPipeError):  # it has ended, and its exit code gives the reason
        stdin.write(json.dumps(request).encode())
        stdin.close()
    if stdout.read(1) == _READY:
        late.start()
        with contextlib.suppress(pa.ArrowInvalid, OSError):  # it was ended; its exit code is checked below
            more = stdout.read(1) == b"1"
            with pa.ipc.open_stream(stdout) as stream:
                table = stream.read_all()
            if process.wait() == 0:
                return table, more
    code = process.wait()
    reading.join()
    raise _failure(code, b"".join(errors).decode(errors="replace"), limits, over=not late.is_alive())


def _failure(code: int, text: str, limits: Limits, *, over: bool) -> Exception:
    """Why there is no answer."""
    last = text.strip().rpartition("\n")[2]
    if code == _REFUSED:
        return QueryRefused(last)
    if code == -signal.SIGKILL and over:
        return limits.too_slow()
    if code < 0 or "MemoryError" in last:  # also the system's own killer, for lack of memory
        return limits.too_large()
    return RuntimeError(f"the process of the query ended with code {code}: {last}")


class _WithoutPandas(MetaPathFinder):
    """Arrow imports pandas where there is one, for a second, and needs none."""

    def find_spec(self, fullname: str, *_: object) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError(name=fullname)


def serve() -> None:
    """Answer the one question on standard input; the process ends here."""
    request = json.load(sys.stdin.buffer)
    limits = Limits(**request["limits"])
    Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    sys.meta_path.insert(0, _WithoutPandas())
    from editflow.storage.artifacts.store import Lake
    from editflow.storage.queries import query

    out = sys.stdout.buffer
    out.write(_READY)
    out.flush()
    try:
        lake = Lake.open(request["lake"], create=False)
        found, more = query.first_rows(lake, request["sql"], limits, lambda: _confine(limits.memory + _SLACK))
        _send(out, found, more=more)
    except StorageError as error:
        sys.stderr.write(f"{error}\n")
        sys.stderr.flush()
        os._exit(_REFUSED)
    os._exit(0)  # a query that was left alone may be going on


def _send(out: IO[bytes], table: pa.Table, *, more: bool) -> None:
    out.write(b"1" if more else b"0")
    with pa.ipc.new_stream(out, table.schema) as stream:
        stream.write_table(table)
    out.flush()


def _confine(extra: int) -> None:
    """Let the process have so many bytes more than it has now, where the system can hold it to that."""
    import psutil  # type: ignore[import-untyped]

    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        most = psutil.Process().memory_info().vms + extra
        resource.setrlimit(resource.RLIMIT_AS, (most, resource.getrlimit(resource.RLIMIT_AS)[1]))


def _end_with(parent: int) -> None:
    """End when the process that asked is gone."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
