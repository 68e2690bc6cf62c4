"""The index: three append-only Delta tables that make lineage and run history a query.

    <lake>/catalog/artifacts    one row an artifact, its inputs inside the row: node and edges in one commit
    <lake>/catalog/uses         which run created or reused which artifact
    <lake>/catalog/runs         one row when a run starts, one when it ends

Manifests and run records are the truth. A lost or outdated index is rebuilt from them, and every query adds
what the index is missing. Rows may repeat (a step retried, two processes at once); readers keep one of each.
"""

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from editflow.storage.artifacts.check import check_manifest
from editflow.storage.artifacts.store import Lake, Manifest
from editflow.storage.duckdb_paths import read_parquet
from editflow.storage.errors import ForeignFile, LakeNotWritable
from editflow.storage.index.delta_log import append_rows, latest_version
from editflow.storage.index.delta_table import open_table, own_files
from editflow.storage.index.rows import SCHEMAS, _use_row, artifact_row, is_final, run_row, unrecorded_uses
from editflow.storage.index.snapshot import invalidate
from editflow.storage.records.runs import RunRecord, Runs, Use

if TYPE_CHECKING:
    from deltalake import DeltaTable

Mode = Literal["append", "overwrite"]


# Every append is a small file; merging them now and then keeps opening the index fast.
_MERGE_EVERY = 100
_MAX_TRIES = 20
MAX_MERGE_BYTES = 8 * 2**20
"""Bytes from which a file is not merged again: otherwise each merge would rewrite the whole table."""


@dataclass(frozen=True)
class Missing:
    """Ids that are in the lake and missing from the index."""

    artifacts: tuple[str, ...]
    runs: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.artifacts or self.runs)


@dataclass(frozen=True)
class Catalog:
    """The index of one lake. Appends from several processes are safe."""

    lake: Lake

    def record_artifact(self, manifest: Manifest) -> None:
        self.record_many(artifacts=[manifest])

    def record_run(self, record: RunRecord) -> None:
        self.record_many(runs=[record])

    def record_many(
        self,
        *,
        artifacts: Iterable[Manifest] = (),
        uses: Iterable[tuple[str, Use]] = (),
        runs: Iterable[RunRecord] = (),
    ) -> None:
        """Append many rows in one commit a table; ``uses`` are (run id, use). Raises LakeNotWritable."""
        self._append("artifacts", [artifact_row(manifest) for manifest in artifacts])
        self._append("uses", [_use_row(run_id, use) for run_id, use in uses])
        self._append("runs", [run_row(record) for record in runs])

    def files(self, table: str) -> list[str]:
        """The Parquet files that make up an index table now; empty when it does not exist or its log is damaged.

        Raises ForeignFile where something that is not the lake's own lies in its folder.
        """
        from deltalake.exceptions import DeltaError

        files, folder = self.lake.files, f"catalog/{table}"
        try:
            found = open_table(files, folder)
        except DeltaError:
            return []
        try:
            return own_files(files, folder, found)
        except ForeignFile:  # a log that names another file than the table's is damaged
            return []

    def missing(self) -> Missing:
        """What is missing from the index; false when it is complete. Cost: a listing of the lake and three columns."""
        indexed = {row[0] for row in self._select("DISTINCT id", "artifacts")}
        started = {row[0] for row in self._select("DISTINCT run_id", "runs")}
        ended = {row[0] for row in self._select("DISTINCT run_id", "runs WHERE finished_at IS NOT NULL")}
        lake, runs = self.lake, Runs(self.lake.files)
        return Missing(
            tuple(id_ for id_ in lake.ids() if id_ not in indexed and lake.is_committed(id_)),
            tuple(
                run_id
                for run_id in runs.ids()
                if run_id not in ended and (run_id not in started or runs.is_finished(run_id))
            ),
        )

    def rebuild(self) -> None:
        """Write the index again from manifests and run records, over one that may be broken. Raises LakeNotWritable.

        Snapshots of the old index become invalid.
        The uses of a run that did not record its own end are kept from the old index: only it knows the reused ones.
        A damaged record or manifest is left out; `editflow.storage.maintenance.audit` reports it.
        """
        records = [record for record in Runs(self.lake.files).all() if record.status != "damaged"]
        manifests = [made for id_ in self.lake.ids() if (made := check_manifest(self.lake, id_)[0])]
        final = {record.run_id for record in records if is_final(record)}
        uses = [row for row in self._uses() if row["run_id"] not in final]
        uses += unrecorded_uses(records, manifests, {(row["run_id"], row["artifact"]) for row in uses})
        self._write("artifacts", [artifact_row(manifest) for manifest in manifests], "overwrite")
        self._write("uses", uses, "overwrite")
        self._write("runs", [run_row(record) for record in records], "overwrite")
        invalidate(self.lake.files)

    def _uses(self) -> list[dict[str, Any]]:
        """All rows of uses ever written, also if the log is damaged: the Parquet files still exist."""
        import duckdb

        names = SCHEMAS["uses"].names
        lying = [f"catalog/uses/{name}" for name in self.lake.files.list("catalog/uses") if name.endswith(".parquet")]
        files = []
        for name in lying:
            with contextlib.suppress(ForeignFile, FileNotFoundError):
                files.append(self.lake.files.file_path(name))
        rows: dict[tuple[Any, ...], None] = {}
        for some in (files, *([file] for file in files)):  # one by one where they cannot be read together
            with contextlib.suppress(duckdb.Error):
                rows |= dict.fromkeys(_read(f"DISTINCT {', '.join(names)}", some))
                if some is files:
                    break
        return [dict(zip(names, row, strict=True)) for row in rows]

    def _select(self, columns: str, source: str) -> list[tuple[Any, ...]]:
        import duckdb

        table, _, rest = source.partition(" ")
        try:
            return _read(columns, self.files(table), rest)
        except duckdb.Error:  # a file of the table is gone or damaged: the lake's own files have its rows
            return []

    def _append(self, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
        if rows:
            self._write(table, rows, "append")

    def _write(self, table: str, rows: Sequence[Mapping[str, Any]], mode: Mode) -> None:
        from deltalake.exceptions import DeltaError

        data, files = pa.Table.from_pylist(list(rows), schema=SCHEMAS[table]), self.lake.files
        try:
            if mode == "overwrite":
                self._replace(table, data)
                return
            version = latest_version(files, f"catalog/{table}")
            if version is None:
                self._create(table)
            if append_rows(files, f"catalog/{table}", data, version or 0) % _MERGE_EVERY == 0:
                self._merge(table)
        except (DeltaError, OSError) as error:
            raise LakeNotWritable(
                f"cannot write the index {self._path(table)}: {str(error).partition(chr(10))[0]}; artifacts and run "
                f"records are whole: make room or the folder writable; `editflow verify --rebuild` writes the index "
                f"again, and until then queries add what is missing"
            ) from error

    def _merge(self, table: str) -> None:
        """Merge the files of the last commits, and let readers of the log begin here."""
        from deltalake.exceptions import DeltaError

        with contextlib.suppress(DeltaError):  # another process has merged the files, or one is lost
            found = open_table(self.lake.files, f"catalog/{table}")
            own_files(self.lake.files, f"catalog/{table}", found)
            found.optimize.compact(target_size=MAX_MERGE_BYTES)
            found.create_checkpoint()
            found.cleanup_metadata()

    def _replace(self, table: str, data: pa.Table) -> None:
        """Write a whole table as one version; retried if others removed rows in between, which Delta reports as a
        conflict."""
        from deltalake import CommitProperties, write_deltalake
        from deltalake.exceptions import CommitFailedError

        retried = CommitProperties(max_commit_retries=100)
        for left in reversed(range(_MAX_TRIES)):
            try:
                write_deltalake(self._open_or_recreate(table), data, mode="overwrite", commit_properties=retried)
            except CommitFailedError:
                if not left:
                    raise
            else:
                return

    def _open_or_recreate(self, table: str) -> "DeltaTable":
        """The table; created again where its log is damaged."""
        from deltalake.exceptions import DeltaError

        files, folder = self.lake.files, f"catalog/{table}"
        files.folder_path(folder)  # behind a link out of the lake nothing is written or removed
        with contextlib.suppress(DeltaError, ForeignFile, OSError):
            if latest_version(files, folder) is None:
                self._create(table)
            found = open_table(files, folder)
            own_files(files, folder, found)
            return found
        files.remove_folder(folder)
        self._create(table)
        return open_table(files, folder)

    def _create(self, table: str) -> None:
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError

        self.lake.files.make_folder(f"catalog/{table}")
        try:
            DeltaTable.create(self._path(table), schema=SCHEMAS[table], mode="ignore")
        except DeltaError:
            if not DeltaTable.is_deltatable(self._path(table)):  # else another process created it just now
                raise

    def _path(self, table: str) -> str:
        return self.lake.files.folder_path(f"catalog/{table}")


def _read(columns: str, files: Sequence[str], rest: str = "") -> list[tuple[Any, ...]]:
    from editflow.storage.index.database import open_database

    if not files:
        return []
    with open_database() as connection:
        sql = f"SELECT {columns} FROM {read_parquet(files)} {rest}"  # noqa: S608 - all parts are literals above
        return connection.execute(sql).fetchall()
