"""Compaction of the index: merges its files and removes rows of deleted artifacts, beside writers and readers."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from editflow.storage.errors import ForeignFile
from editflow.storage.index.catalog import MAX_MERGE_BYTES, Catalog
from editflow.storage.index.delta_table import open_table, own_files
from editflow.storage.index.rows import SCHEMAS

_WEEK = 168
"""Hours for which Delta keeps what an older version reads, so that no reader loses a file."""
_AT_ONCE = 1000


def compact(catalog: Catalog, hours: float, *, delete: bool) -> int:
    """Merge the index's small files, and remove those that no version of the last days reads; how many that are.

    That is a week at least, for any ``hours``. Without ``delete`` nothing is touched. A table that is damaged is
    left to ``Catalog.rebuild``.
    """
    from deltalake.exceptions import DeltaError

    removed, files = 0, catalog.lake.files
    for table in SCHEMAS:
        with contextlib.suppress(DeltaError):
            found = open_table(files, f"catalog/{table}")
            try:
                own_files(files, f"catalog/{table}", found)
            except ForeignFile:  # of a log: it is damaged
                continue
            if delete:
                found.optimize.compact(target_size=MAX_MERGE_BYTES)
                found.cleanup_metadata()
            removed += len(found.vacuum(max(_WEEK, int(hours)), dry_run=not delete))
    return removed


def delete_rows(catalog: Catalog, artifacts: Sequence[str]) -> None:
    """Remove the rows of removed artifacts from the index, unless another process is merging its files.

    Rows that stay do no harm: readers check which artifacts exist. Cost: the files that held the rows are written
    again.
    """
    from deltalake.exceptions import DeltaError

    files = catalog.lake.files
    for start in range(0, len(artifacts), _AT_ONCE):
        ids = ", ".join(f"'{id_}'" for id_ in artifacts[start : start + _AT_ONCE])
        with contextlib.suppress(DeltaError, ForeignFile):
            found = open_table(files, "catalog/artifacts")
            own_files(files, "catalog/artifacts", found)
            found.delete(f"id IN ({ids})")
