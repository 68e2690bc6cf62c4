"""Audit of a lake: reports every damaged or missing file. Changes nothing.

    artifacts      the manifest is readable and its recipe hashes to the id; the payload is intact; all parents exist
    runs           both files of the record exist and are readable; every artifact that the run used exists
    names          refs, queues, releases and notices: every version exists and is readable
    foreign files  links out of the lake, pipes, devices, invalid names: storage/maintenance/foreign_files.py
    conflicts      each file is readable and matches the artifact and content in its name
    index          see storage/maintenance/index_audit.py

Everything is streamed: memory holds one artifact and the faults found so far.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from editflow.storage.artifacts.check import Fault, check_artifact, foreign_fault, parse_time
from editflow.storage.artifacts.conflicts import Conflict
from editflow.storage.artifacts.identity import parent_pairs
from editflow.storage.artifacts.manifest import manifest_name
from editflow.storage.artifacts.store import Lake
from editflow.storage.errors import DamagedRecord, ForeignFile, StorageError
from editflow.storage.json_records import is_id, read_record
from editflow.storage.maintenance.foreign_files import NAME_FOLDERS, foreign_files
from editflow.storage.records.refs import RESTORE_ADVICE, Refs
from editflow.storage.records.runs import Runs
from editflow.storage.records.tombstones import removed_at


@dataclass
class Audit:
    """A check of one lake, in parts. `artifacts`, `bytes`, `runs` and `names` count the items checked so far.

    Each missing artifact is reported once.
    """

    lake: Lake
    deep: bool = True
    artifacts: int = 0
    bytes: int = 0
    runs: int = 0
    names: int = 0
    _reported: set[str] = field(default_factory=set)

    def ids(self) -> Iterator[str]:
        """The existing artifacts, except those behind a foreign file, which `check_foreign_files` reports."""
        with suppress(ForeignFile):
            for shard in self.lake.files.list("artifacts"):
                with suppress(ForeignFile):
                    for name in self.lake.files.list(f"artifacts/{shard}"):
                        with suppress(ForeignFile):
                            if name[:2] == shard and self.lake.is_committed(name):
                                yield name

    def check_artifacts(self, ids: Iterable[str], advance: Callable[[int], None]) -> Iterator[Fault]:
        """Faults of these artifacts and their missing parents."""
        for id_ in ids:
            made, fault = check_artifact(self.lake, id_, deep=self.deep)
            self.artifacts += 1
            self.bytes += made.bytes if made else 0
            if fault is not None and id_ not in self._reported:
                self._reported.add(id_)
                yield fault
            for role, parent in parent_pairs(made.parents) if made else ():
                yield from self.check_exists(
                    parent, f"{made.kind if made else ''} {id_[:12]} was made from it as {role}"
                )
            advance(1)

    def check_runs(self, ids: Iterable[str], advance: Callable[[int], None]) -> Iterator[Fault]:
        """Faults of run records and missing artifacts that the runs used, except artifacts that gc removed."""
        records, removed = Runs(self.lake.files), removed_at(self.lake.files)
        for run in ids:
            advance(1)
            self.runs += 1
            try:
                record = records.get(run)
            except StorageError as error:
                yield from self._record_fault(run, error)
                continue
            started = parse_time(record.started_at)
            for use in record.uses:
                if use.artifact in removed and started < removed[use.artifact]:
                    continue
                yield from self.check_exists(use.artifact, f"run {run} used it as {use.stage}")

    def check_names(self) -> Iterator[Fault]:
        """Faults of the version files of names, and missing states that refs point to."""
        for folder in NAME_FOLDERS:
            names = Refs(self.lake.files, folder)
            for name in self.lake.files.list(folder):
                self.names += 1
                broken = list(names.faults(name))
                for file, wrong, remedy in broken:
                    yield Fault(file, f"{folder}/{name}", wrong, "hand", name, remedy)
                found = names.get(name) if not broken and folder == "refs" else None
                if found and is_id(found[0]):
                    yield from self.check_exists(found[0], f"the name {name} points to it")
                elif found:
                    file, remedy = (
                        names.file(name, found[1]),
                        f"{RESTORE_ADVICE}, or delete it to return to the previous value",
                    )
                    yield Fault(file, f"refs/{name}", "does not hold the id of a state", "hand", name, remedy)

    def check_foreign_files(self) -> Iterator[Fault]:
        """Foreign files, and conflict records whose content contradicts their names."""
        yield from foreign_files(self.lake.files)
        files = self.lake.files
        for name in files.list("conflicts"):
            file = f"conflicts/{name}"
            with suppress(ForeignFile, FileNotFoundError):  # reported above, or just removed
                try:
                    is_valid = read_record(Conflict, files.read(file)).name == file
                except ValueError:
                    is_valid = False
                if not is_valid:
                    wrong = "is damaged, or belongs to another artifact"
                    yield Fault(file, "conflict", wrong, "hand", remedy="remove it")

    def check_exists(self, id_: str, why: str) -> Iterator[Fault]:
        """The fault of an artifact that is needed but missing."""
        try:
            is_present = id_ in self._reported or self.lake.is_committed(id_)
        except ForeignFile:  # a foreign file in its path, which check_foreign_files reports
            return
        if not is_present:
            self._reported.add(id_)
            wrong = f"is gone, but {why}"
            yield Fault(manifest_name(id_), f"artifact {id_[:12]}", wrong, "artifact", id_, lost=True)

    def _record_fault(self, run: str, error: StorageError) -> Iterator[Fault]:
        if isinstance(error, ForeignFile) and not error.path.endswith((f"{run}/started.json", f"{run}/finished.json")):
            yield foreign_fault(self.lake, error, f"run {run}", run)  # the folder itself is foreign
        elif isinstance(error, DamagedRecord):
            file = error.path.removeprefix(f"{self.lake.files.root}/")
            yield Fault(file, f"run {run}", "is damaged", "record", run)
        elif Runs(self.lake.files).is_finished(run):  # an empty folder is no fault: no record was ever written
            wrong = "is gone, but the run has finished.json"
            yield Fault(f"runs/{run}/started.json", f"run {run}", wrong, "record", run)
