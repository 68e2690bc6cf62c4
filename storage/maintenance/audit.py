"""Audit of a lake: every damaged or missing file is named. Nothing is changed.

    artifacts     the manifest: readable, of the recipe that its id is the hash of; the payload; every parent there
    runs          the two files of the record: readable, both there; every artifact that the run used there
    names         refs, queues, releases and notices: every version there and readable
    strays        links out of the lake, pipes, devices, names that are no ids: storage/maintenance/foreign_files.py
    conflicts     each file readable, and about the artifact and the content in its name
    index         see storage/maintenance/index_audit.py

All of it is read as a stream: memory holds one artifact and the faults that were found.
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
from editflow.storage.json_records import is_id, is_run_id, read_record
from editflow.storage.maintenance.foreign_files import MOVING, strays
from editflow.storage.records.refs import RESTORE_ADVICE, Refs
from editflow.storage.records.runs import Runs
from editflow.storage.records.tombstones import removed_at


@dataclass
class Audit:
    """A check of one lake, in parts. `artifacts`, `bytes`, `runs` and `names` count the checked items so far.

    A lost artifact is reported once, however many need it.
    """

    lake: Lake
    deep: bool = True
    artifacts: int = 0
    bytes: int = 0
    runs: int = 0
    names: int = 0
    _reported: set[str] = field(default_factory=set)

    def ids(self) -> Iterator[str]:
        """The existing artifacts, except those behind a foreign file, which `of_strays` reports."""
        with suppress(ForeignFile):
            for shard in self.lake.files.list("artifacts"):
                with suppress(ForeignFile):
                    for name in self.lake.files.list(f"artifacts/{shard}"):
                        with suppress(ForeignFile):
                            if name[:2] == shard and self.lake.is_committed(name):
                                yield name

    def of_artifacts(self, ids: Iterable[str], advance: Callable[[int], None]) -> Iterator[Fault]:
        """Faults of artifacts, and of the parents that they have lost."""
        for id_ in ids:
            made, fault = check_artifact(self.lake, id_, deep=self.deep)
            self.artifacts += 1
            self.bytes += made.bytes if made else 0
            if fault is not None and id_ not in self._reported:
                self._reported.add(id_)
                yield fault
            for role, parent in parent_pairs(made.parents) if made else ():
                yield from self.lost(parent, f"{made.kind if made else ''} {id_[:12]} was made from it as {role}")
            advance(1)

    def of_runs(self, ids: Iterable[str], advance: Callable[[int], None]) -> Iterator[Fault]:
        """Faults of run records, and of what the runs have used; artifacts removed by gc are no fault."""
        known, gone = Runs(self.lake.files), removed_at(self.lake.files)
        for run in ids:
            advance(1)
            self.runs += 1
            try:
                record = known.get(run)
            except StorageError as error:
                yield from self._record(run, error)
                continue
            began = parse_time(record.started_at)
            for use in record.uses:
                if use.artifact in gone and began < gone[use.artifact]:
                    continue
                yield from self.lost(use.artifact, f"run {run} used it as {use.stage}")

    def of_names(self) -> Iterator[Fault]:
        """Faults of the files of moving names, and the states of refs that are lost."""
        for folder in MOVING:
            names = Refs(self.lake.files, folder)
            for name in self.lake.files.list(folder):
                self.names += 1
                broken = list(names.faults(name))
                for file, wrong, remedy in broken:
                    yield Fault(file, f"{folder}/{name}", wrong, "hand", name, remedy)
                found = names.get(name) if not broken and folder == "refs" else None
                if found and is_id(found[0]):
                    yield from self.lost(found[0], f"the name {name} points to it")
                elif found:
                    file, remedy = (
                        names.file(name, found[1]),
                        f"{RESTORE_ADVICE}, or delete it to go back to the value before",
                    )
                    yield Fault(file, f"refs/{name}", "holds no id of a state", "hand", name, remedy)

    def of_strays(self) -> Iterator[Fault]:
        """Foreign files, and conflicts whose content contradicts their names."""
        for stray in strays(self.lake.files):
            yield Fault(stray.name, _owner(stray.name), stray.wrong, "hand", remedy=stray.remedy)
        files = self.lake.files
        for name in files.list("conflicts"):
            file = f"conflicts/{name}"
            with suppress(ForeignFile, FileNotFoundError):  # a stray, or gone
                try:
                    is_valid = read_record(Conflict, files.read(file)).name == file
                except ValueError:
                    is_valid = False
                if not is_valid:
                    yield Fault(file, "conflict", "is damaged, or that of another artifact", "hand", remedy="remove it")

    def lost(self, id_: str, why: str) -> Iterator[Fault]:
        """The fault of an artifact that is needed and missing."""
        try:
            is_present = id_ in self._reported or self.lake.is_committed(id_)
        except ForeignFile:  # a foreign file on the way to it, which is reported
            return
        if not is_present:
            self._reported.add(id_)
            wrong = f"is gone, and {why}"
            yield Fault(manifest_name(id_), f"artifact {id_[:12]}", wrong, "artifact", id_, lost=True)

    def _record(self, run: str, error: StorageError) -> Iterator[Fault]:
        if isinstance(error, ForeignFile) and not error.path.endswith((f"{run}/started.json", f"{run}/finished.json")):
            yield foreign_fault(self.lake, error, f"run {run}", run)  # nothing can be put in its place
        elif isinstance(error, DamagedRecord):
            file = error.path.removeprefix(f"{self.lake.files.root}/")
            yield Fault(file, f"run {run}", "is damaged", "record", run)
        elif Runs(self.lake.files).is_finished(run):  # else nothing of it was ever written
            yield Fault(f"runs/{run}/started.json", f"run {run}", "is gone, though the run has an end", "record", run)


def _owner(name: str) -> str:
    """What a name inside the lake belongs to, in words."""
    parts = name.split("/")
    known = {"artifacts": ("artifact", 2, is_id), "runs": ("run", 1, is_run_id)}
    if parts[0] in known:
        word, place, is_name = known[parts[0]]
        if len(parts) > place and is_name(parts[place]):
            return f"{word} {parts[place][:12] if word == 'artifact' else parts[place]}"
    return f"{parts[0]}/{parts[1]}" if parts[0] in MOVING and len(parts) > 1 else parts[0]
