"""The result of one check of `editflow doctor`."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from editflow.flows.console.output_files import existing

Verdict = Literal["ok", "warning", "problem"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. `remedy` says in words what to do, and is empty where nothing need be done."""

    check: str
    verdict: Verdict
    found: str
    remedy: str = ""


@dataclass(frozen=True)
class Place:
    """What to look at: the lake's folder, and whether to read every byte in it."""

    lake: str
    deep: bool = False


def ok(check: str, found: str) -> Finding:
    """All is well."""
    return Finding(check, "ok", found)


def warning(check: str, found: str, remedy: str) -> Finding:
    """EditFlow works, but not for long, or not in all it can do."""
    return Finding(check, "warning", found, remedy)


def problem(check: str, found: str, remedy: str) -> Finding:
    """Something that a command will fail on."""
    return Finding(check, "problem", found, remedy)


def refusal(folder: Path) -> str:
    """Why a folder, which need not exist yet, takes no files; empty when it does. Leaves nothing behind."""
    try:
        with tempfile.TemporaryFile(dir=existing(folder)):
            return ""
    except OSError as error:
        return error.strerror or str(error)


def listed(names: list[str], most: int = 3) -> str:
    """The first names of a list, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
