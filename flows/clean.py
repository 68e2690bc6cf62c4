"""The flow that clears a lake of what nobody can miss."""

from __future__ import annotations

from collections import Counter
from typing import Any

from prefect import flow

from flows.output import lake_folder
from flows.owners import claim
from flows.pages import table
from storage.catalog import Catalog
from storage.litter import litter, sweep
from storage.store import Lake

HOURS = 24.0
"""No stage takes that long between two files, so what is older belongs to no writer."""


@flow(name="clean", validate_parameters=False, on_running=[claim])
def clean(lake: str | None = None, hours: float = HOURS, *, delete: bool = True) -> list[dict[str, Any]]:
    """Remove litter that was last touched so many hours ago and merge the index's files; what there was, by kind.

    Safe beside running writers; killed at any moment, it leaves a sound lake. With `delete` false only the list is
    made. Artifacts, run records, names, queues and releases stay.
    """
    place = Lake.open(lake_folder(lake), create=False)
    rows = cleaned(place, hours, delete=delete)
    table(rows, "litter", f"{'removed from' if delete else 'to be removed from'} {place.uri}")
    return rows


def cleaned(place: Lake, hours: float, *, delete: bool) -> list[dict[str, Any]]:
    """The same without Prefect."""
    files, sizes = Counter[str](), Counter[str]()
    for found in list(litter(place, hours)):
        if not delete or sweep(place, found, hours):
            files[found.what] += 1
            sizes[found.what] += found.bytes
    rows = [{"what": what, "files": number, "bytes": sizes[what]} for what, number in sorted(files.items())]
    index = Catalog(place).tidy(hours, delete=delete)
    return [*rows, {"what": "old file of the index", "files": index, "bytes": None}] if index else rows
