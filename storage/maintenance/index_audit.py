"""Audit of the index: damaged or missing log and data files, missing rows, rows without an artifact.

The rows of index and lake are compared with each other as two sorted streams, so memory holds neither.
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

_NAMED = 3
"""Most ids that one fault names."""
_APART, _BETWEEN = chr(31), chr(30)
_MARKED = """
SELECT id, min(mark), max(mark) FROM (
    SELECT coalesce(id::VARCHAR, '') AS id, sha256(concat_ws(chr(31), kind, version, spec, digest,
        coalesce(array_to_string([x.role || chr(30) || x.artifact FOR x IN inputs], chr(30)), ''))) AS mark
    FROM {files}
) GROUP BY id ORDER BY id
"""
_RUNS = """
SELECT coalesce(run_id::VARCHAR, '') AS run, bool_or(finished_at IS NOT NULL)
FROM {files} GROUP BY run ORDER BY run
"""
_USES = """
SELECT coalesce(run_id::VARCHAR, '') AS run, count(DISTINCT artifact) FROM {files} GROUP BY run ORDER BY run
"""


def index_faults(lake: Lake) -> Iterator[Fault]:
    """Faults of the index. Rows that unfinished runs have not yet written are no fault.

    Cost: a pass over the index, one over the lake's listing, and a read of every manifest and run record.
    """
    catalog, whole = Catalog(lake), set(SCHEMAS)
    for table in SCHEMAS:
        for fault in damage(lake, table):
            whole.discard(table)
            yield fault
    compared = {"artifacts": _artifacts, "runs": _runs, "uses": _uses}
    for table in sorted(whole):
        try:
            yield from compared[table](lake, catalog.files(table)).faults(table)
        except duckdb.Error as error:
            yield _broken(f"catalog/{table}", table, f"cannot be read: {first_line(error)[:200]}")
    for name in snapshot.damaged_files(lake.files):
        yield Fault(name, "snapshot of the index", "does not hold what was written", "index")


def damage(lake: Lake, table: str) -> Iterator[Fault]:
    """Faults of the files of one table: its log, and the Parquet files that the log names."""
    folder = f"catalog/{table}"
    if not lake.files.list(folder):
        return
    if gaps := list(_gaps(lake, f"{folder}/_delta_log")):
        for file in gaps:
            beyond = lake.files.exists(file)
            wrong = "is no version of it" if beyond else "is gone: the table cannot be read without it"
            yield _broken(file, table, wrong)
        return
    try:
        found = open_table(lake.files, folder)
        files = own_files(lake.files, folder, found)
    except DeltaError as error:
        yield _broken(f"{folder}/_delta_log", table, f"is damaged: {first_line(error)[:200]}")
        return
    except ForeignFile as error:
        inside, name = f"{lake.files.root}/{folder}/", error.path.removeprefix(f"{lake.files.root}/")
        is_own = error.path.startswith(inside)  # then it goes with the table when that is written again
        yield _broken(name, table, f"is {error.what}") if is_own else foreign_fault(lake, error, f"index of {table}")
        return
    for file in files:
        name = f"{folder}/{file.rpartition('/')[2]}"
        if wrong := _unreadable(lake, name):
            yield _broken(name, table, wrong)


def _gaps(lake: Lake, log: str) -> Iterator[str]:
    """Files of a log that are gone: all from its latest checkpoint on must be there."""
    names = lake.files.list(log)
    numbers = sorted(int(name[:20]) for name in names if re.fullmatch(r"[0-9]{20}\.json", name))
    kept = [int(name[:20]) for name in names if re.fullmatch(r"[0-9]{20}\.checkpoint.*\.parquet", name)]
    first = max(kept, default=-1) + 1
    if beyond := [
        name for name in names if name[:20].isascii() and name[:20].isdigit() and int(name[:20]) > MAX_VERSION
    ]:
        yield f"{log}/{beyond[0]}"
        return
    there = [number for number in numbers if number >= first] if numbers else [first + 1]
    for before, number in pairwise([first - 1, *there]):
        if number > before + 1:  # the first of those that are gone
            yield f"{log}/{before + 1:020d}.json"


def _unreadable(lake: Lake, name: str) -> str:
    try:
        for _ in parquet.ParquetFile(lake.files.file_path(name)).iter_batches(batch_size=1000):  # few, to hold little
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
    named: dict[str, list[str]] = field(default_factory=dict)
    false: list[str] = field(default_factory=list)
    """Artifacts whose manifest, and not the index, differs from the payload."""

    def note(self, what: str, id_: str) -> None:
        self.counts[what] += 1
        if self.counts[what] <= _NAMED:
            self.named.setdefault(what, []).append(id_)

    def faults(self, table: str) -> Iterator[Fault]:
        for what, count in self.counts.items():
            more = f" and {count - _NAMED} more" if count > _NAMED else ""
            yield _broken(f"catalog/{table}", table, f"{what}: {', '.join(self.named[what])}{more}")
        for id_ in self.false:
            yield Fault(manifest_name(id_), f"artifact {id_[:12]}", WRONG_DIGEST, "artifact", id_)


def _artifacts(lake: Lake, files: list[str]) -> _Differences:
    found, going, gone = _Differences(), _Going(lake), removed_at(lake.files)
    there = filter(lake.is_committed, lake.ids())
    for id_, here, row in _beside(there, _rows(_MARKED, files)):
        if not here:
            if id_ not in gone:  # else a concurrent merge of files kept its row
                found.note("has artifacts that the lake has not", id_[:12])
            continue
        made, _ = check_manifest(lake, id_)
        if made is None:  # the audit of artifacts reports it
            continue
        if row is None and not going.is_open(made.created_by):
            found.note("is missing artifacts", id_[:12])
        elif row is not None and set(row) != {_mark(made)}:
            # The audit of artifacts reports a missing payload.
            if lake.files.exists(made.payload) and contradicts_payload(lake.files, made):
                found.false.append(id_)
            else:
                found.note("differs from the manifest of", id_[:12])
    return found


def _runs(lake: Lake, files: list[str]) -> _Differences:
    found, going, runs = _Differences(), _Going(lake), Runs(lake.files)
    for run, here, row in _beside(runs.ids(), _rows(_RUNS, files)):
        if not here:
            found.note("has runs that the lake has not", run)
        elif row is not None and (row[0] or not runs.is_finished(run)):
            continue
        elif not going.is_open(run) and going.status(run) != "damaged":
            found.note("is missing the end of runs" if row else "is missing runs", run)
    return found


def _uses(lake: Lake, files: list[str]) -> _Differences:
    """Of runs that recorded their own end: what a crashed run reused is only in the index."""
    found, runs = _Differences(), Runs(lake.files)
    for run, here, row in _beside(filter(runs.is_finished, runs.ids()), _rows(_USES, files)):
        record = runs.get_or_damaged(run) if here else None
        if record is None or record.status in {"died", "damaged"}:
            continue
        used, indexed = len({use.artifact for use in record.uses}), row[0] if row else 0
        if used != indexed:
            found.note("is missing what runs used" if indexed < used else "has uses beyond those of runs", run)
    return found


@dataclass
class _Going:
    """Which runs have no end yet, and which are damaged (the audit reports those).

    Artifacts of runs without an end may be missing from the index: the run writes them, or the process that records its
    death.
    """

    lake: Lake
    known: dict[str | None, str] = field(default_factory=dict)

    def is_open(self, run: str | None) -> bool:
        """Whether a run has begun and has no recorded end."""
        return self.status(run) in {"running", "died"} and not Runs(self.lake.files).is_finished(str(run))

    def status(self, run: str | None) -> str:
        if run not in self.known:
            runs = Runs(self.lake.files)
            self.known[run] = runs.get_or_damaged(run).status if run is not None and runs.is_started(run) else "unknown"
        return self.known[run]


def _beside(
    ours: Iterable[str], theirs: Iterator[tuple[Any, ...]]
) -> Iterator[tuple[str, bool, tuple[Any, ...] | None]]:
    """(key, whether the lake has it, the rest of the index's row) of two streams that are sorted by their keys."""
    row = next(theirs, None)
    for key in ours:
        while row is not None and row[0] < key:
            yield row[0], False, row[1:]
            row = next(theirs, None)
        if row is not None and row[0] == key:
            yield key, True, row[1:]
            row = next(theirs, None)
        else:
            yield key, True, None
    while row is not None:
        yield row[0], False, row[1:]
        row = next(theirs, None)


def _rows(sql: str, files: list[str]) -> Iterator[tuple[Any, ...]]:
    if not files:
        return
    with open_database() as connection:
        cursor = connection.execute(sql.replace("{files}", duckdb_paths.read_parquet(files)))
        while batch := cursor.fetchmany(10_000):
            yield from batch


def _mark(made: Manifest) -> str:
    """The index's expected row of an artifact as one hash: kind, version, spec, digest and inputs."""
    row = artifact_row(made)
    inputs = _BETWEEN.join(f"{x['role']}{_BETWEEN}{x['artifact']}" for x in row["inputs"])
    parts = (row["kind"], str(row["version"]), row["spec"], row["digest"], inputs)
    return hashlib.sha256(_APART.join(parts).encode(errors="surrogatepass")).hexdigest()


def _broken(file: str, table: str, wrong: str) -> Fault:
    return Fault(file, f"index of {table}", wrong, "index")
