"""Audit of the index: damaged or missing log and data files, missing rows, rows without an artifact.

Index and lake are compared as two sorted streams, so neither is held in memory.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import duckdb
import pyarrow as pa
from deltalake.exceptions import DeltaError
from pyarrow import parquet

from editflow.storage import duckdb_paths
from editflow.storage.artifacts.check import WRONG_DIGEST, Fault, check_manifest, foreign_fault
from editflow.storage.artifacts.manifest import Manifest, manifest_name
from editflow.storage.artifacts.payload_check import contradicts_payload
from editflow.storage.artifacts.store import Lake
from editflow.storage.errors import ForeignFile, first_line
from editflow.storage.index import snapshot
from editflow.storage.index.catalog import Catalog
from editflow.storage.index.database import open_database
from editflow.storage.index.delta_log import MAX_VERSION
from editflow.storage.index.delta_table import open_table, own_files
from editflow.storage.index.rows import SCHEMAS, artifact_row
from editflow.storage.records.runs import Runs
from editflow.storage.records.tombstones import removed_at

_MAX_IDS = 3
"""Maximum number of ids in the message of one fault."""
_FIELD_SEPARATOR, _INPUT_SEPARATOR = chr(31), chr(30)
_ARTIFACTS_SQL = """
SELECT id, min(row_hash), max(row_hash) FROM (
    SELECT coalesce(id::VARCHAR, '') AS id, sha256(concat_ws(chr(31), kind, version, spec, digest,
        coalesce(array_to_string([x.role || chr(30) || x.artifact FOR x IN inputs], chr(30)), ''))) AS row_hash
    FROM {files}
) GROUP BY id ORDER BY id
"""
_RUNS_SQL = """
SELECT coalesce(run_id::VARCHAR, '') AS run, bool_or(finished_at IS NOT NULL)
FROM {files} GROUP BY run ORDER BY run
"""
_USES_SQL = """
SELECT coalesce(run_id::VARCHAR, '') AS run, count(DISTINCT artifact) FROM {files} GROUP BY run ORDER BY run
"""


def index_faults(lake: Lake) -> Iterator[Fault]:
    """Faults of the index. Rows that an unfinished run has not yet written are not faults.

    Cost: one pass over the index, one over the lake's listing, and a read of every manifest and run record.
    """
    catalog, readable = Catalog(lake), set(SCHEMAS)
    for table in SCHEMAS:
        for fault in table_file_faults(lake, table):
            readable.discard(table)
            yield fault
    compare = {"artifacts": _compare_artifacts, "runs": _compare_runs, "uses": _compare_uses}
    for table in sorted(readable):
        try:
            yield from compare[table](lake, catalog.files(table)).faults(table)
        except duckdb.Error as error:
            yield _index_fault(f"catalog/{table}", table, f"cannot be read: {first_line(error)[:200]}")
    for name in snapshot.damaged_files(lake.files):
        yield Fault(name, "snapshot of the index", "does not match its checksum", "index")


def table_file_faults(lake: Lake, table: str) -> Iterator[Fault]:
    """Faults of the files of one table: its log, and the Parquet files that the log lists."""
    folder = f"catalog/{table}"
    if not lake.files.list(folder):
        return
    if gaps := list(_gaps(lake, f"{folder}/_delta_log")):
        for file in gaps:
            is_present = lake.files.exists(file)
            wrong = "is not a valid version" if is_present else "is gone: the table cannot be read without it"
            yield _index_fault(file, table, wrong)
        return
    try:
        found = open_table(lake.files, folder)
        files = own_files(lake.files, folder, found)
    except DeltaError as error:
        yield _index_fault(f"{folder}/_delta_log", table, f"is damaged: {first_line(error)[:200]}")
        return
    except ForeignFile as error:
        inside, name = f"{lake.files.root}/{folder}/", error.path.removeprefix(f"{lake.files.root}/")
        is_in_table = error.path.startswith(inside)  # rewriting the table then removes it
        fault = _index_fault(name, table, f"is {error.what}")
        yield fault if is_in_table else foreign_fault(lake, error, f"index of {table}")
        return
    for file in files:
        name = f"{folder}/{file.rpartition('/')[2]}"
        if wrong := _read_error(lake, name):
            yield _index_fault(name, table, wrong)


def _gaps(lake: Lake, log: str) -> Iterator[str]:
    """The missing or invalid files of a log: all versions since its latest checkpoint must exist.

    Of consecutive missing versions, only the first is listed.
    """
    names = lake.files.list(log)
    numbers = sorted(int(name[:20]) for name in names if re.fullmatch(r"[0-9]{20}\.json", name))
    checkpoints = [int(name[:20]) for name in names if re.fullmatch(r"[0-9]{20}\.checkpoint.*\.parquet", name)]
    first = max(checkpoints, default=-1) + 1
    if too_high := [
        name for name in names if name[:20].isascii() and name[:20].isdigit() and int(name[:20]) > MAX_VERSION
    ]:
        yield f"{log}/{too_high[0]}"
        return
    existing = [number for number in numbers if number >= first] if numbers else [first + 1]
    for before, number in pairwise([first - 1, *existing]):
        if number > before + 1:
            yield f"{log}/{before + 1:020d}.json"


def _read_error(lake: Lake, name: str) -> str:
    """What is wrong with a Parquet file; empty if all of it can be read."""
    try:
        for _ in parquet.ParquetFile(lake.files.file_path(name)).iter_batches(batch_size=1000):  # to save memory
            pass
    except FileNotFoundError:
        return "is gone"
    except (pa.ArrowException, OSError) as error:
        return f"is damaged: {first_line(error)[:200]}"
    return ""


@dataclass
class _Differences:
    """How many rows are missing, have no artifact, or differ; and the first ids of each."""

    counts: Counter[str] = field(default_factory=Counter)
    first_ids: dict[str, list[str]] = field(default_factory=dict)
    false_manifests: list[str] = field(default_factory=list)
    """Artifacts whose manifest differs from the payload, while the index agrees with it."""

    def add(self, what: str, id_: str) -> None:
        self.counts[what] += 1
        if self.counts[what] <= _MAX_IDS:
            self.first_ids.setdefault(what, []).append(id_)

    def faults(self, table: str) -> Iterator[Fault]:
        for what, count in self.counts.items():
            more = f" and {count - _MAX_IDS} more" if count > _MAX_IDS else ""
            yield _index_fault(f"catalog/{table}", table, f"{what}: {', '.join(self.first_ids[what])}{more}")
        for id_ in self.false_manifests:
            yield Fault(manifest_name(id_), f"artifact {id_[:12]}", WRONG_DIGEST, "artifact", id_)


def _compare_artifacts(lake: Lake, files: list[str]) -> _Differences:
    found, statuses, removed = _Differences(), _RunStatuses(lake), removed_at(lake.files)
    committed = filter(lake.is_committed, lake.ids())
    for id_, exists, row in _merge(committed, _fetch_rows(_ARTIFACTS_SQL, files)):
        if not exists:
            if id_ not in removed:  # a removed artifact's row may remain after a concurrent compaction
                found.add("has artifacts that are not in the lake", id_[:12])
            continue
        made, _ = check_manifest(lake, id_)
        if made is None:  # the audit of artifacts reports it
            continue
        if row is None and not statuses.is_open(made.created_by):
            found.add("is missing artifacts", id_[:12])
        elif row is not None and set(row) != {_row_hash(made)}:
            # The audit of artifacts reports a missing payload.
            if lake.files.exists(made.payload) and contradicts_payload(lake.files, made):
                found.false_manifests.append(id_)
            else:
                found.add("differs from the manifest of", id_[:12])
    return found


def _compare_runs(lake: Lake, files: list[str]) -> _Differences:
    found, statuses, runs = _Differences(), _RunStatuses(lake), Runs(lake.files)
    for run, exists, row in _merge(runs.ids(), _fetch_rows(_RUNS_SQL, files)):
        if not exists:
            found.add("has runs that are not in the lake", run)
        elif row is not None and (row[0] or not runs.is_finished(run)):
            continue
        elif not statuses.is_open(run) and statuses.get(run) != "damaged":
            found.add("is missing the end of runs" if row else "is missing runs", run)
    return found


def _compare_uses(lake: Lake, files: list[str]) -> _Differences:
    """Only of runs that recorded their own end: the uses of a crashed run are only in the index."""
    found, runs = _Differences(), Runs(lake.files)
    for run, exists, row in _merge(filter(runs.is_finished, runs.ids()), _fetch_rows(_USES_SQL, files)):
        record = runs.get_or_damaged(run) if exists else None
        if record is None or record.status in {"died", "damaged"}:
            continue
        used, indexed = len({use.artifact for use in record.uses}), row[0] if row else 0
        if used != indexed:
            found.add("is missing uses of runs" if indexed < used else "has uses that are not in the records", run)
    return found


@dataclass
class _RunStatuses:
    """The statuses of runs, each read once.

    The artifacts of a run without a recorded end may be missing from the index: the run writes their rows, or the
    process that marks the run as crashed.
    """

    lake: Lake
    known: dict[str | None, str] = field(default_factory=dict)

    def is_open(self, run: str | None) -> bool:
        """Whether a run has started and has no recorded end."""
        return self.get(run) in {"running", "died"} and not Runs(self.lake.files).is_finished(str(run))

    def get(self, run: str | None) -> str:
        if run not in self.known:
            runs = Runs(self.lake.files)
            self.known[run] = runs.get_or_damaged(run).status if run is not None and runs.is_started(run) else "unknown"
        return self.known[run]


def _merge(keys: Iterable[str], rows: Iterator[tuple[Any, ...]]) -> Iterator[tuple[str, bool, tuple[Any, ...] | None]]:
    """Merge the lake's keys with the index's rows, both sorted by key.

    Yields (key, whether the lake has it, the rest of the index's row or None).
    """
    row = next(rows, None)
    for key in keys:
        while row is not None and row[0] < key:
            yield row[0], False, row[1:]
            row = next(rows, None)
        if row is not None and row[0] == key:
            yield key, True, row[1:]
            row = next(rows, None)
        else:
            yield key, True, None
    while row is not None:
        yield row[0], False, row[1:]
        row = next(rows, None)


def _fetch_rows(sql: str, files: list[str]) -> Iterator[tuple[Any, ...]]:
    if not files:
        return
    with open_database() as connection:
        cursor = connection.execute(sql.replace("{files}", duckdb_paths.read_parquet(files)))
        while batch := cursor.fetchmany(10_000):
            yield from batch


def _row_hash(made: Manifest) -> str:
    """A hash of the row that the index should have, as in _ARTIFACTS_SQL: kind, version, spec, digest and inputs."""
    row = artifact_row(made)
    inputs = _INPUT_SEPARATOR.join(f"{x['role']}{_INPUT_SEPARATOR}{x['artifact']}" for x in row["inputs"])
    parts = (row["kind"], str(row["version"]), row["spec"], row["digest"], inputs)
    return hashlib.sha256(_FIELD_SEPARATOR.join(parts).encode(errors="surrogatepass")).hexdigest()


def _index_fault(file: str, table: str, wrong: str) -> Fault:
    return Fault(file, f"index of {table}", wrong, "index")
