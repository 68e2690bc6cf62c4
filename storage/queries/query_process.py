"""Runs a query in its own process, which can be killed at the time limit and cannot exceed its memory limit.

DuckDB does not count all memory that a query uses, and cannot be interrupted during planning or one function call. The
process can be killed at any moment because it writes no file. It returns its result as an Arrow stream.
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
from editflow.storage.queries.query_limits import QueryLimits

_EXTRA_BYTES = 2**30
"""Memory beyond DuckDB's limit: for the result, and for address space that libraries reserve and do not use."""
_EXTRA_SECONDS = 5.0
"""Seconds after a query's time limit until its process is killed."""
_READY = b"\n"
_START = "import sys; sys.path.append(sys.argv[1]); from editflow.storage.queries.query_process import serve; serve()"
_REFUSED = 3
"""The exit code if the query is refused; the reason is on standard error."""


def first_rows(lake: str, sql: str, limits: QueryLimits) -> tuple[pa.Table, bool]:
    """Like editflow.storage.queries.query.first_rows, for the lake at a path. Cost: also starts a process."""
    # -P: import nothing from the current folder.
    command = [sys.executable, "-P", "-c", _START, str(Path(__file__).parents[3])]
    with subprocess.Popen(  # noqa: S603 - the command is fixed
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        killer = Timer(limits.seconds + _EXTRA_SECONDS, process.kill)
        killer.daemon = True
        try:
            return _exchange(process, {"lake": lake, "sql": sql, "limits": asdict(limits)}, killer, limits)
        finally:
            killer.cancel()
            process.kill()


def _exchange(
    process: subprocess.Popen[bytes], request: dict[str, Any], killer: Timer, limits: QueryLimits
) -> tuple[pa.Table, bool]:
    """Send the request and read the result; the time limit starts when the process is ready."""
    stdin, stdout, stderr = process.stdin, process.stdout, process.stderr
    if stdin is None or stdout is None or stderr is None:
        raise RuntimeError("the process of a query has no pipes")
    errors = list[bytes]()
    error_reader = Thread(target=lambda: errors.append(stderr.read()), daemon=True)
    error_reader.start()
    with contextlib.suppress(BrokenPipeError):  # the process has ended; its exit code gives the reason
        stdin.write(json.dumps(request).encode())
        stdin.close()
    if stdout.read(1) == _READY:
        killer.start()
        with contextlib.suppress(pa.ArrowInvalid, OSError):  # the process was killed; its exit code is checked below
            has_more = stdout.read(1) == b"1"
            with pa.ipc.open_stream(stdout) as stream:
                table = stream.read_all()
            if process.wait() == 0:
                return table, has_more
    code = process.wait()
    error_reader.join()
    raise _error(code, b"".join(errors).decode(errors="replace"), limits, timed_out=not killer.is_alive())


def _error(code: int, text: str, limits: QueryLimits, *, timed_out: bool) -> Exception:
    """The error for a process that returned no result."""
    last_line = text.strip().rpartition("\n")[2]
    if code == _REFUSED:
        return QueryRefused(last_line)
    if code == -signal.SIGKILL and timed_out:
        return limits.too_slow()
    if code < 0 or "MemoryError" in last_line:  # negative also if the system killed it for lack of memory
        return limits.too_large()
    return RuntimeError(f"the process of the query ended with code {code}: {last_line}")


class _WithoutPandas(MetaPathFinder):
    """Hides pandas from Arrow, which would import it if installed: it takes a second and is not needed."""

    def find_spec(self, fullname: str, *_: object) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError(name=fullname)


def serve() -> None:
    """Run the query on standard input, write its result to standard output and end the process."""
    request = json.load(sys.stdin.buffer)
    limits = QueryLimits(**request["limits"])
    Thread(target=_exit_with, args=(os.getppid(),), daemon=True).start()
    sys.meta_path.insert(0, _WithoutPandas())
    from editflow.storage.artifacts.store import Lake
    from editflow.storage.queries import query

    out = sys.stdout.buffer
    out.write(_READY)
    out.flush()
    try:
        lake = Lake.open(request["lake"], create=False)
        table, has_more = query.first_rows(
            lake, request["sql"], limits, lambda: _limit_memory(limits.memory + _EXTRA_BYTES)
        )
        _send(out, table, has_more=has_more)
    except StorageError as error:
        sys.stderr.write(f"{error}\n")
        sys.stderr.flush()
        os._exit(_REFUSED)
    os._exit(0)  # do not wait for the thread of an abandoned query


def _send(out: IO[bytes], table: pa.Table, *, has_more: bool) -> None:
    out.write(b"1" if has_more else b"0")
    with pa.ipc.new_stream(out, table.schema) as stream:
        stream.write_table(table)
    out.flush()


def _limit_memory(extra: int) -> None:
    """Limit the process to ``extra`` bytes more than it has now, if the system supports that."""
    import psutil  # type: ignore[import-untyped]

    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        limit = psutil.Process().memory_info().vms + extra
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))


def _exit_with(parent: int) -> None:
    """End this process when its parent is gone."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
