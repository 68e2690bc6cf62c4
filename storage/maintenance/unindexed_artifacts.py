"""Adds artifacts and runs to the index that are missing from it because their writer was killed.

An artifact and the end of a run are each committed by one file and indexed afterwards. If the process is killed or the
disk is full in between, no other process writes the rows. Artifacts are indexed first and the ends of runs last, so a
run whose end is indexed has all its rows; other runs may miss some.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa
from deltalake.exceptions import DeltaError

from editflow.storage.artifacts.check import check_manifest
from editflow.storage.artifacts.manifest import Manifest
from editflow.storage.artifacts.store import Lake
from editflow.storage.duckdb_paths import read_parquet
from editflow.storage.errors import ForeignFile
from editflow.storage.index.catalog import Catalog
from editflow.storage.index.database import open_database
from editflow.storage.index.delta_log import latest_version
from editflow.storage.index.delta_table import open_table, own_files
from editflow.storage.index.rows import unrecorded_uses
from editflow.storage.records.runs import RunRecord, Runs, Use

SMALL_BYTES = 2 * 2**20
"""Size of the index's table of artifacts up to which the lake is always listed, which takes a few milliseconds."""
MAX_MISSING = 20_000
"""If more artifacts are missing, the index was lost; `Catalog.rebuild` rewrites it."""
UNREADABLE = (duckdb.Error, DeltaError, OSError, ForeignFile)
"""Errors of an index with a missing or damaged file, which `editflow verify` reports."""


def index_missing_rows(lake: Lake, *, whole: bool = False) -> list[RunRecord]:
    """Mark runs whose process is gone as crashed, and add missing rows to the index; returns the marked runs.

    Running runs write their own rows. A damaged index is left alone. Cost: reads the index's runs. If a run has ended
    that the index does not know, if the lake is small, or if `whole`: also lists the lake and reads one column of the
    index. Raises LakeNotWritable, DiskFull.
    """
    closed = Runs(lake.files).mark_crashed()
    with open_database() as connection:
        try:
            artifacts, uses, runs = _missing_rows(connection, lake, whole=whole)
        except UNREADABLE:
            return closed
    Catalog(lake).record_many(artifacts=artifacts, uses=uses, runs=runs)
    return closed


def unindexed(lake: Lake, ids: Iterable[str]) -> list[str]:
    """The ids that are missing from the index; none if it is damaged. Cost: reads one column of the index."""
    wanted = list(ids)
    if not wanted:
        return []
    try:
        with open_database() as connection:
            return _ids_without_row(connection, wanted, _table_files(lake, "artifacts"))
    except UNREADABLE:
        return []


_Rows = tuple[list[Manifest], list[tuple[str, Use]], list[RunRecord]]


def _missing_rows(connection: duckdb.DuckDBPyConnection, lake: Lake, *, whole: bool) -> _Rows:
    """(artifacts, uses, runs) that have no row and whose writer is gone."""
    runs, files = Runs(lake.files), _table_files(lake, "artifacts")
    ended = list(_unindexed_ends(lake, _indexed_ends(connection, _table_files(lake, "runs"))))
    if not (ended or whole or sum(Path(file).stat().st_size for file in files) <= SMALL_BYTES):
        return [], [], []
    missing = _ids_without_row(connection, lake.ids(), files)
    if len(missing) > MAX_MISSING:
        return [], [], ended
    is_finished = {run: runs.is_finished(run) for run in runs.ids()}
    found = (made for id_ in missing if (made := check_manifest(lake, id_)[0]))
    artifacts = [made for made in found if made.created_by is None or is_finished.get(made.created_by, True)]
    creators = {
        made.created_by: runs.get_or_damaged(made.created_by) for made in artifacts if made.created_by in is_finished
    }
    crashed = {run for run, record in creators.items() if record.status == "died"}
    records = list({record.run_id: record for record in [*ended, *(creators[run] for run in crashed)]}.values())
    known = _indexed_uses(connection, _table_files(lake, "uses"), [record.run_id for record in records])
    rows = unrecorded_uses(records, (made for made in artifacts if made.created_by in crashed), known)
    return artifacts, [(row.pop("run_id"), Use(**row)) for row in map(dict, rows)], ended


def _unindexed_ends(lake: Lake, known: set[str]) -> Iterator[RunRecord]:
    """The finished runs whose end is not in the index."""
    runs = Runs(lake.files)
    for run_id in lake.files.list("runs"):
        if run_id not in known and runs.is_finished(run_id) and runs.is_started(run_id):
            record = runs.get_or_damaged(run_id)
            if record.run_id == run_id and record.status != "damaged":
                yield record


def _table_files(lake: Lake, table: str) -> list[str]:
    """The files of a table of the index; none if there is no table. Raises the errors in UNREADABLE."""
    folder = f"catalog/{table}"
    if latest_version(lake.files, folder) is None:
        return []
    return own_files(lake.files, folder, open_table(lake.files, folder))


def _indexed_ends(connection: duckdb.DuckDBPyConnection, files: Sequence[str]) -> set[str]:
    """The runs whose end is in the index."""
    if not files:
        return set()
    sql = f"SELECT DISTINCT run_id FROM {read_parquet(files)} WHERE finished_at IS NOT NULL"  # noqa: S608
    return {run for (run,) in connection.execute(sql).fetchall()}


def _ids_without_row(connection: duckdb.DuckDBPyConnection, ids: Iterable[str], files: Sequence[str]) -> list[str]:
    """The ids that have no row in the files, sorted."""
    connection.register("wanted", pa.table({"id": pa.array(ids, pa.string())}))
    try:
        known = f" ANTI JOIN (SELECT id FROM {read_parquet(files)}) USING (id)" if files else ""  # noqa: S608
        rows = connection.execute(f"SELECT id FROM wanted{known} ORDER BY id")  # noqa: S608
        return [id_ for (id_,) in rows.fetchall()]
    finally:
        connection.unregister("wanted")


def _indexed_uses(
    connection: duckdb.DuckDBPyConnection, files: Sequence[str], runs: Sequence[str]
) -> set[tuple[str, str]]:
    """(run id, artifact) of each use by these runs in the index."""
    if not (files and runs):
        return set()
    sql = f"SELECT DISTINCT run_id, artifact FROM {read_parquet(files)} WHERE run_id IN (SELECT unnest(?))"  # noqa: S608
    return {(run, artifact) for run, artifact in connection.execute(sql, [list(runs)]).fetchall()}
