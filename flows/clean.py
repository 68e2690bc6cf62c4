"""The flow that cleans a lake: it removes orphan files, and artifacts that no kept run needs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

from prefect import flow

from editflow.flows.console.errors import UsageError
from editflow.flows.console.leftover_folders import left_behind
from editflow.flows.console.output import lake_folder
from editflow.flows.orchestration.crashed_runs import label_process
from editflow.flows.orchestration.run_page import table
from editflow.flows.pipeline.index_updates import index_and_report
from editflow.storage.artifacts.store import Lake
from editflow.storage.index.catalog import Catalog
from editflow.storage.index.compaction import compact
from editflow.storage.maintenance.garbage_collection import KindRow, census, remove
from editflow.storage.maintenance.orphans import find_orphans, remove_orphan
from editflow.storage.maintenance.retention_policy import RetentionRule, check_hours
from editflow.tasks.temporary_folders import remove_abandoned

HOURS = 24.0
"""Default minimum age. No stage takes that long between two files, so older files belong to no writer."""


class RemovedRow(TypedDict):
    """Removed files of one kind; `bytes` is None if not counted."""

    what: str
    files: int
    bytes: int | None


class FolderRow(TypedDict):
    """A temporary folder of a killed process."""

    path: str
    bytes: int


@dataclass(frozen=True)
class Cleared:
    """`orphans` by what they are, `kinds` of artifacts with the unneeded ones, and how many were `removed`.

    `folders` are temporary folders of killed processes, anywhere: path and bytes.
    """

    orphans: Sequence[RemovedRow]
    kinds: Sequence[KindRow]
    removed: int
    folders: Sequence[FolderRow] = ()


@flow(name="clean", validate_parameters=False, on_running=[label_process])
def clean(
    lake: str | None = None,
    hours: float = HOURS,
    *,
    delete: bool = True,
    keep_runs: int | None = None,
    keep_days: float | None = None,
) -> list[RemovedRow]:
    """Remove orphan files not touched for `hours` and merge the index's files; return what was found, by kind.

    Also removes temporary folders of this user's killed processes.

    With `keep_runs` or `keep_days`, also removes artifacts that only older runs needed. Run records, names, queues and
    releases stay. Safe while writers are running; killed at any moment, it leaves a valid lake. With `delete` false,
    only lists. Raises UsageError for values that could remove what a writer needs.
    """
    place = Lake.open(lake_folder(lake), create=False)
    try:
        rule = RetentionRule(keep_runs, keep_days)
    except ValueError as error:
        raise UsageError(str(error)) from error
    found = cleared(place, hours, rule, delete=delete)
    rows = [*found.orphans]
    if unneeded := sum(row["unneeded"] for row in found.kinds):
        size = sum(row["unneeded_bytes"] for row in found.kinds)
        rows.append({"what": "artifact", "files": found.removed if delete else unneeded, "bytes": size})
    if found.folders:
        size = sum(row["bytes"] for row in found.folders)
        rows.append({"what": "temporary folder", "files": len(found.folders), "bytes": size})
    table(rows, "litter", f"{'removed from' if delete else 'to be removed from'} {place.uri}")
    return rows


def cleared(place: Lake, hours: float, rule: RetentionRule, *, delete: bool) -> Cleared:
    """The same without Prefect. Raises UsageError for fewer hours than one, and for a value that is not a time."""
    try:
        check_hours(hours)
    except ValueError as error:
        raise UsageError(str(error)) from error
    if delete:
        index_and_report(place, whole=True)
    found = census(place, rule, hours)
    removed = len(remove(place, found)) if delete else 0
    files, sizes = Counter[str](), Counter[str]()
    for piece in list(find_orphans(place, hours)):
        if not delete or remove_orphan(place, piece, hours):
            files[piece.what] += piece.files
            sizes[piece.what] += piece.bytes
    rows: list[RemovedRow] = [
        {"what": what, "files": number, "bytes": sizes[what]} for what, number in sorted(files.items())
    ]
    index = compact(Catalog(place), hours, delete=delete)
    rows += [{"what": "old file of the index", "files": index, "bytes": None}] if index else []
    left = [one for one in left_behind() if not delete or remove_abandoned(one)]
    folders: list[FolderRow] = [{"path": str(one.path), "bytes": one.bytes} for one in left]
    return Cleared(rows, found.kinds, removed, folders)
