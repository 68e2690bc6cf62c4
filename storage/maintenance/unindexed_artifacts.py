"""Artifacts and runs that the index does not have because their writer was killed; they are added to it.

An artifact and the end of a run are each committed by a file of their own, and indexed after that. A process that is
killed, or finds no room, in between leaves rows that no other process would write. Artifacts go first and the ends of
runs last, so a run whose end is indexed has no missing rows, and a run without one may have some.
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

SMALL = 2 * 2**20
"""Bytes of the index's artifacts up to which the lake is listed without a sign: that takes some milliseconds."""
MOST = 20_000
"""More missing artifacts than this mean a lost index, which `Catalog.rebuild` writes again."""
UNREADABLE = (duckdb.Error, DeltaError, OSError, ForeignFile)
"""What an index raises of which a file is gone or damaged; `editflow verify` reports it."""


def index_what_is_missing(lake: Lake, *, whole: bool = False) -> list[RunRecord]:
    """Record the end of each run whose process is gone, and add missing rows to the index; returns the closed runs.

    Running runs write their own rows. A damaged index is left alone. Cost: the index's runs; and where
    one has ended unknown to it, in a small lake, or `whole`, a listing of the lake and a column of the index. Raises
    LakeNotWritable, DiskFull.
    """
    closed = Runs(lake.files).mark_crashed()
    with open_database() as connection:
        try:
            artifacts, uses, runs = _owed(connection, lake, whole=whole)
        except UNREADABLE:
            return closed
    Catalog(lake).record_many(artifacts=artifacts, uses=uses, runs=runs)
    return closed


def unindexed(lake: Lake, ids: Iterable[str]) -> list[str]:
    """Those of these artifacts that are missing from the index; none if it is damaged. Cost: a column of it."""
    wanted = list(ids)
    if not wanted:
        return []
    try:
        with open_database() as connection:
            return _beyond(connection, wanted, _files(lake, "artifacts"))
    except UNREADABLE:
        return []


_Owed = tuple[list[Manifest], list[tuple[str, Use]], list[RunRecord]]


def _owed(connection: duckdb.DuckDBPyConnection, lake: Lake, *, whole: bool) -> _Owed:
    """(artifacts, uses, runs) without a row, whose writer is gone."""
    runs, files = Runs(lake.files), _files(lake, "artifacts")
    ended = list(_ended(lake, _known(connection, _files(lake, "runs"))))
    if not (ended or whole or sum(Path(file).stat().st_size for file in files) <= SMALL):
        return [], [], []
    missing = _beyond(connection, lake.ids(), files)
    if len(missing) > MOST:
        return [], [], ended
    there = {run: runs.is_finished(run) for run in runs.ids()}
    found = (made for id_ in missing if (made := check_manifest(lake, id_)[0]))
    artifacts = [made for made in found if made.created_by is None or there.get(made.created_by, True)]
    makers = {made.created_by: runs.get_or_damaged(made.created_by) for made in artifacts if made.created_by in there}
    dead = {run for run, record in makers.items() if record.status == "died"}
    records = list({record.run_id: record for record in [*ended, *(makers[run] for run in dead)]}.values())
    known = _pairs(connection, _files(lake, "uses"), [record.run_id for record in records])
    rows = unrecorded_uses(records, (made for made in artifacts if made.created_by in dead), known)
    return artifacts, [(row.pop("run_id"), Use(**row)) for row in map(dict, rows)], ended


def _ended(lake: Lake, known: set[str]) -> Iterator[RunRecord]:
    """The runs whose end is recorded and that the index does not know to have ended."""
    runs = Runs(lake.files)
    for run_id in lake.files.list("runs"):
        if run_id not in known and runs.is_finished(run_id) and runs.is_started(run_id):
            record = runs.get_or_damaged(run_id)
            if record.run_id == run_id and record.status != "damaged":
                yield record


def _files(lake: Lake, table: str) -> list[str]:
    """The files of a table of the index; none where there is no table. Raises what UNREADABLE lists."""
    folder = f"catalog/{table}"
    if latest_version(lake.files, folder) is None:
        return []
    return own_files(lake.files, folder, open_table(lake.files, folder))


def _known(connection: duckdb.DuckDBPyConnection, files: Sequence[str]) -> set[str]:
    """The runs that the index knows to have ended."""
    if not files:
        return set()
    sql = f"SELECT DISTINCT run_id FROM {read_parquet(files)} WHERE finished_at IS NOT NULL"  # noqa: S608
    return {run for (run,) in connection.execute(sql).fetchall()}


def _beyond(connection: duckdb.DuckDBPyConnection, ids: Iterable[str], files: Sequence[str]) -> list[str]:
    """Those of these ids that have no row in the files."""
    connection.register("there", pa.table({"id": pa.array(ids, pa.string())}))
    try:
        known = f" ANTI JOIN (SELECT id FROM {read_parquet(files)}) USING (id)" if files else ""  # noqa: S608
        rows = connection.execute(f"SELECT id FROM there{known} ORDER BY id")  # noqa: S608
        return [id_ for (id_,) in rows.fetchall()]
    finally:
        connection.unregister("there")


def _pairs(connection: duckdb.DuckDBPyConnection, files: Sequence[str], runs: Sequence[str]) -> set[tuple[str, str]]:
    """(run id, artifact) of the uses of these runs in the index."""
    if not (files and runs):
        return set()
    sql = f"SELECT DISTINCT run_id, artifact FROM {read_parquet(files)} WHERE run_id IN (SELECT unnest(?))"  # noqa: S608
    return {(run, artifact) for run, artifact in connection.execute(sql, [list(runs)]).fetchall()}
