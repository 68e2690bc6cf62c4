"""Small file systems, read-only folders and other hosts. The test is skipped if the machine does not permit them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

UNSHARE = ["unshare", "--uts", "--pid", "--fork", "--mount-proc", "--kill-child=SIGKILL"]


def _run_or_skip(command: list[str], what: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        pytest.skip(f"no {what} here: {error}")
    if done.returncode:
        pytest.skip(f"no {what} here: {done.stderr.strip() or done.returncode}")


@contextmanager
def disk(place: Path, kib: int) -> Iterator[Path]:
    """A file system of a fixed size."""
    place.mkdir()
    _run_or_skip(["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", str(place)], "tmpfs can be mounted")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def resize(place: Path, kib: int) -> None:
    """Change the size of a mounted file system."""
    subprocess.run(["mount", "-o", f"remount,size={kib}k", str(place)], check=True)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Make a folder read-only, even for root."""
    _run_or_skip(["mount", "--bind", str(folder), str(folder)], "bind mount")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(folder)], check=True)
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@cache
def _namespaces() -> str:
    try:
        done = subprocess.run([*UNSHARE, "true"], capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        return str(error)
    return "" if done.returncode == 0 else done.stderr.strip() or "refused"


def elsewhere(host: str, command: list[str]) -> list[str]:
    """The command as run on another machine: with another host name and its own process ids."""
    if why := _namespaces():
        pytest.skip(f"no namespace for host names and processes here: {why}")
    return [*UNSHARE, "sh", "-c", 'hostname "$0" && exec "$@"', host, *command]
