"""The index: three append-only Delta tables for queries of lineage and run history.

    <lake>/catalog/artifacts    one row per artifact with its inputs: node and edges in one commit
    <lake>/catalog/uses         which run created or reused which artifact
    <lake>/catalog/runs         one row when a run starts, one when it ends

Manifests and run records are the source of truth. A lost or outdated index is rebuilt from them, and every query adds
missing rows. Rows may repeat (a retried step, two processes at once); readers keep one of each.
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from editflow.storage.artifacts.check import check_manifest
from editflow.storage.artifacts.store import Lake, Manifest
from editflow.storage.duckdb_paths import read_parquet
from editflow.storage.errors import ForeignFile, LakeNotWritable, first_line
from editflow.storage.index.delta_log import append_rows, latest_version
from editflow.storage.index.delta_table import open_table, own_files
from editflow.storage.index.rows import SCHEMAS, artifact_row, is_final, run_row, unrecorded_uses, use_row
from editflow.storage.index.snapshot import invalidate
from editflow.storage.records.runs import RunRecord, Runs, Use

if TYPE_CHECKING:
    from deltalake import DeltaTable

_MERGE_EVERY = 100
"""Commits between merges: every append is a small file, and opening a table with many files is slow."""
_MAX_TRIES = 20
MAX_MERGE_BYTES = 8 * 2**20
"""Larger files are not merged again, so that a merge does not rewrite the whole table."""


@dataclass(frozen=True)
class Missing:
    """Ids that exist in the lake and are missing from the index."""

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
        """Append rows in one commit per table; ``uses`` are (run id, use). Raises LakeNotWritable."""
        self._append("artifacts", list(map(artifact_row, artifacts)))
        self._append("uses", [use_row(run_id, use) for run_id, use in uses])
        self._append("runs", list(map(run_row, runs)))

    def files(self, table: str) -> list[str]:
        """The current Parquet files of an index table; empty if it does not exist or its log is damaged.

        Raises ForeignFile if its folder contains something that is not a file of the lake.
        """
        from deltalake.exceptions import DeltaError

        files, folder = self.lake.files, f"catalog/{table}"
        try:
            delta = open_table(files, folder)
        except DeltaError:
            return []
        try:
            return own_files(files, folder, delta)
        except ForeignFile:  # a log that names a file outside of the table is damaged
            return []

    def missing(self) -> Missing:
        """What is missing from the index; false if it is complete. Cost: a listing of the lake, three columns."""
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
        """Rebuild the index, which may be damaged, from manifests and run records. Raises LakeNotWritable.

        Snapshots of the old index become invalid. The uses of a run that did not record its own end are kept from the
        old index, because only it has the reused artifacts. Damaged records and manifests are left out;
        `editflow.storage.maintenance.audit` reports them.
        """
        records = [record for record in Runs(self.lake.files).all() if record.status != "damaged"]
        manifests = [manifest for id_ in self.lake.ids() if (manifest := check_manifest(self.lake, id_)[0])]
        final = {record.run_id for record in records if is_final(record)}
        uses = [row for row in self._uses() if row["run_id"] not in final]
        uses += unrecorded_uses(records, manifests, {(row["run_id"], row["artifact"]) for row in uses})
        self._replace("artifacts", list(map(artifact_row, manifests)))
        self._replace("uses", uses)
        self._replace("runs", list(map(run_row, records)))
        invalidate(self.lake.files)

    def _uses(self) -> list[dict[str, Any]]:
        """All rows of uses that were ever written, from the Parquet files, since the log may be damaged."""
        import duckdb

        names = SCHEMAS["uses"].names
        files = []
        for name in self.lake.files.list("catalog/uses"):
            if name.endswith(".parquet"):
                with contextlib.suppress(ForeignFile, FileNotFoundError):
                    files.append(self.lake.files.file_path(f"catalog/uses/{name}"))
        rows: dict[tuple[Any, ...], None] = {}
        for group in (files, *([file] for file in files)):  # one by one if they cannot be read together
            with contextlib.suppress(duckdb.Error):
                rows |= dict.fromkeys(_read(f"DISTINCT {', '.join(names)}", group))
                if group is files:
                    break
        return [dict(zip(names, row, strict=True)) for row in rows]

    def _select(self, columns: str, source: str) -> list[tuple[Any, ...]]:
        import duckdb

        table, _, rest = source.partition(" ")
        try:
            return _read(columns, self.files(table), rest)
        except duckdb.Error:  # a file of the table is missing or damaged: manifests and run records have its rows
            return []

    def _append(self, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
        if not rows:
            return
        files, folder = self.lake.files, f"catalog/{table}"
        with self._explain_errors(table):
            version = latest_version(files, folder)
            if version is None:
                self._create(table)
            if append_rows(files, folder, _arrow(table, rows), version or 0) % _MERGE_EVERY == 0:
                self._merge(table)

    def _replace(self, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write a whole table as one version; retry if another process removed rows meanwhile, a conflict for Delta."""
        from deltalake import CommitProperties, write_deltalake
        from deltalake.exceptions import CommitFailedError

        data, properties = _arrow(table, rows), CommitProperties(max_commit_retries=100)
        with self._explain_errors(table):
            for left in reversed(range(_MAX_TRIES)):
                try:
                    delta = self._open_or_recreate(table)
                    write_deltalake(delta, data, mode="overwrite", commit_properties=properties)
                except CommitFailedError:
                    if not left:
                        raise
                else:
                    return

    @contextlib.contextmanager
    def _explain_errors(self, table: str) -> Iterator[None]:
        """Turn errors of writing a table into LakeNotWritable, which names the remedy."""
        from deltalake.exceptions import DeltaError

        try:
            yield
        except (DeltaError, OSError) as error:
            raise LakeNotWritable(
                f"cannot write the index {self._path(table)}: {first_line(error)}; artifacts and run records are "
                "complete: free space or make the folder writable; `editflow verify --rebuild` writes the index again, "
                "and until then queries add what is missing"
            ) from error

    def _merge(self, table: str) -> None:
        """Merge the files of recent commits, and write a checkpoint from which readers of the log start."""
        from deltalake.exceptions import DeltaError

        with contextlib.suppress(DeltaError):  # another process has merged the files, or one is missing
            delta = open_table(self.lake.files, f"catalog/{table}")
            own_files(self.lake.files, f"catalog/{table}", delta)
            delta.optimize.compact(target_size=MAX_MERGE_BYTES)
            delta.create_checkpoint()
            delta.cleanup_metadata()

    def _open_or_recreate(self, table: str) -> "DeltaTable":
        """The table, which is created again if it is missing or its log is damaged."""
        from deltalake.exceptions import DeltaError

        files, folder = self.lake.files, f"catalog/{table}"
        files.folder_path(folder)  # raises for a link out of the lake, before anything is removed
        with contextlib.suppress(DeltaError, ForeignFile, OSError):
            if latest_version(files, folder) is None:
                self._create(table)
            delta = open_table(files, folder)
            own_files(files, folder, delta)
            return delta
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
            if not DeltaTable.is_deltatable(self._path(table)):  # else another process has just created it
                raise

    def _path(self, table: str) -> str:
        return self.lake.files.folder_path(f"catalog/{table}")


def _arrow(table: str, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=SCHEMAS[table])


def _read(columns: str, files: Sequence[str], rest: str = "") -> list[tuple[Any, ...]]:
    from editflow.storage.index.database import open_database

    if not files:
        return []
    with open_database() as connection:
        sql = f"SELECT {columns} FROM {read_parquet(files)} {rest}"  # noqa: S608 - all parts are literals above
        return connection.execute(sql).fetchall()
