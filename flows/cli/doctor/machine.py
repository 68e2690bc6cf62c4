"""Checks of free disk space and memory."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from rich.filesize import decimal

from editflow.flows.cli.doctor.finding import Finding, Place, ok, warning
from editflow.flows.console.output_files import existing
from editflow.tasks.sources.packaged_data import cache

MIN_DISK = 2_000_000_000
"""Bytes. The converted default model takes half a gigabyte; the rest is for the lake."""

MIN_MEMORY = 3_000_000_000
"""Bytes. A thousand edits to the default model need about as much, including Prefect's server (docs/performance.md)."""


def disk(place: Place) -> Iterator[Finding]:
    """Free space where the lake and the cache are."""
    for name, folder in (("lake", Path(place.lake)), ("cache", cache())):
        free = shutil.disk_usage(existing(folder)).free
        found = f"{decimal(free)} free for the {name}"
        if free < MIN_DISK:
            yield warning("disk", found, f"free space: models and runs need about {decimal(MIN_DISK)}")
        else:
            yield ok("disk", found)


def memory(_place: Place) -> Iterator[Finding]:
    """Available memory."""
    import psutil  # type: ignore[import-untyped]

    now = psutil.virtual_memory()
    found = f"{decimal(now.available)} available of {decimal(now.total)}"
    if now.available < MIN_MEMORY:
        remedy = f"end other programs: a run with the default model may need {decimal(MIN_MEMORY)}"
        yield warning("memory", found, remedy)
    else:
        yield ok("memory", found)
