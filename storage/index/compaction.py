"""Compaction of the index: merges files and removes rows of deleted artifacts, safely beside writers and readers."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from editflow.storage.errors import ForeignFile
from editflow.storage.index.catalog import MAX_MERGE_BYTES, Catalog
from editflow.storage.index.delta_table import open_table, own_files
from editflow.storage.index.rows import SCHEMAS

_WEEK = 168
"""Hours for which files of older versions are kept, so that no reader loses a file."""
_BATCH = 1000


def compact(catalog: Catalog, hours: float, *, delete: bool) -> int:
    """Merge the small files of the index, and remove files that no recent version uses; returns how many.

    Recent means ``hours``, but at least a week. Without ``delete``, the files are only counted. A damaged table is left
    to ``Catalog.rebuild``.
    """
    from deltalake.exceptions import DeltaError

    removed, files = 0, catalog.lake.files
    for table in SCHEMAS:
        with contextlib.suppress(DeltaError):
            delta = open_table(files, f"catalog/{table}")
            try:
                own_files(files, f"catalog/{table}", delta)
            except ForeignFile:  # the log is damaged
                continue
            if delete:
                delta.optimize.compact(target_size=MAX_MERGE_BYTES)
                delta.cleanup_metadata()
            removed += len(delta.vacuum(max(_WEEK, int(hours)), dry_run=not delete))
    return removed


def delete_rows(catalog: Catalog, artifacts: Sequence[str]) -> None:
    """Remove the rows of removed artifacts from the index, unless another process is merging its files.

    Remaining rows do no harm, because readers check which artifacts exist. Cost: rewrites the files that contain the
    rows.
    """
    from deltalake.exceptions import DeltaError

    files = catalog.lake.files
    for start in range(0, len(artifacts), _BATCH):
        ids = ", ".join(f"'{id_}'" for id_ in artifacts[start : start + _BATCH])
        with contextlib.suppress(DeltaError, ForeignFile):
            delta = open_table(files, "catalog/artifacts")
            own_files(files, "catalog/artifacts", delta)
            delta.delete(f"id IN ({ids})")
