"""Checks of free disk space and memory."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from rich.filesize import decimal

from editflow.flows.cli.doctor.finding import Finding, Place, ok, warning
from editflow.flows.console.output_files import existing
from editflow.tasks.sources.packaged_data import cache

LEAST_DISK = 2_000_000_000
"""Bytes. The default model converted fills half a gigabyte; the rest is for the lake."""

LEAST_MEMORY = 3_000_000_000
"""Bytes. A thousand edits to the default model hold about as much, Prefect's server among it (docs/performance.md)."""


def disk(place: Place) -> Iterator[Finding]:
    """Free space where the lake and the cache are."""
    for name, folder in (("lake", Path(place.lake)), ("cache", cache())):
        free = shutil.disk_usage(existing(folder)).free
        found = f"{decimal(free)} free for the {name}"
        if free < LEAST_DISK:
            yield warning("disk", found, f"free some: {decimal(LEAST_DISK)} are a safe measure for models and runs")
        else:
            yield ok("disk", found)


def memory(_place: Place) -> Iterator[Finding]:
    """Memory that is available now."""
    import psutil  # type: ignore[import-untyped]

    now = psutil.virtual_memory()
    found = f"{decimal(now.available)} available of {decimal(now.total)}"
    if now.available < LEAST_MEMORY:
        yield warning(
            "memory", found, f"end other programs: a run with the default model may want {decimal(LEAST_MEMORY)}"
        )
    else:
        yield ok("memory", found)
