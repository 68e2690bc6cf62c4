"""The findings of `editflow doctor`."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from editflow.flows.console.output_files import existing

Verdict = Literal["ok", "warning", "problem"]


@dataclass(frozen=True)
class Finding:
    """The result of one check. `remedy` says what to do; it is empty if there is nothing to do."""

    check: str
    verdict: Verdict
    found: str
    remedy: str = ""


@dataclass(frozen=True)
class Place:
    """What to check: the lake's folder, and whether to read every byte in it."""

    lake: str
    deep: bool = False


def ok(check: str, found: str) -> Finding:
    """A finding without a fault."""
    return Finding(check, "ok", found)


def warning(check: str, found: str, remedy: str) -> Finding:
    """A finding that may make some commands fail, now or later."""
    return Finding(check, "warning", found, remedy)


def problem(check: str, found: str, remedy: str) -> Finding:
    """A finding that makes some commands fail."""
    return Finding(check, "problem", found, remedy)


def write_error(folder: Path) -> str:
    """Why no file can be written to a folder, which need not exist yet; empty if one can. Leaves no file."""
    try:
        with tempfile.TemporaryFile(dir=existing(folder)):
            return ""
    except OSError as error:
        return error.strerror or str(error)


def listed(names: list[str], limit: int = 3) -> str:
    """The first names of a list, and the number of the others."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
