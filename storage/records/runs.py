"""Run records: two small files for each run, each written once.

    <lake>/runs/<run_id>/started.json      what was asked, when, where, by which process
    <lake>/runs/<run_id>/finished.json     how it ended, what it made and reused

A run whose process is gone without the second file has died: readers derive that until a later run records it
(``mark_crashed``). The folder's name is the run's id: a record that names another is damaged.
"""

import contextlib
import json
import os
import platform
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from functools import cache
from itertools import groupby
from typing import Any, Literal

from editflow.storage.address import redact_text, wrap_addresses
from editflow.storage.errors import DamagedRecord, ForeignFile, InvalidName, StorageError, UnknownRun
from editflow.storage.files import Files
from editflow.storage.json_records import Count, Id, RunId, Seconds, Summary, Time, UnixTime, is_run_id, read_record

How = Literal["created", "reused"]
Outcome = Literal["completed", "failed", "interrupted", "died"]
Part = Literal["started", "finished"]


@dataclass(frozen=True)
class Use:
    """One artifact that a run created or reused. ``seconds``: wall-clock time of making it, 0 when reused."""

    artifact: Id
    stage: str
    how: How
    seconds: Seconds = 0.0


@dataclass(frozen=True)
class RunRecord:
    """One run. ``status`` is running, died, completed, failed or interrupted; times are UTC in ISO 8601.

    In a listing it is also damaged: ``message`` then names the file, and the fields hold what can still be read.
    """

    run_id: RunId
    name: str
    spec: Mapping[str, Any]
    spec_path: str | None
    started_at: Time
    environment: Mapping[str, Any]
    host: str
    pid: Count
    process_started: UnixTime
    status: str = "running"
    finished_at: Time | None = None
    message: str = ""
    state: Id | None = None
    summary: Summary = field(default_factory=dict)
    uses: tuple[Use, ...] = ()


@dataclass(frozen=True)
class _End:
    """What the second file holds: fields of the record that are known when a run is over."""

    status: Outcome
    finished_at: Time
    message: str
    state: Id | None
    summary: Summary
    uses: tuple[Use, ...]

    def of(self, record: RunRecord) -> RunRecord:
        return replace(record, **vars(self))


def _open(record: RunRecord) -> RunRecord:
    """The record without an end, which the first file cannot tell."""
    return replace(record, status="running", finished_at=None, message="", state=None, summary={}, uses=())


@dataclass(frozen=True)
class Runs:
    """The run records of one lake: ``Runs(lake.files)``."""

    files: Files

    def start(
        self,
        name: str,
        spec: Mapping[str, Any],
        *,
        spec_path: str | None = None,
        environment: Mapping[str, Any] | None = None,
        run_id: str | None = None,
    ) -> RunRecord:
        """Record that this process begins a run; FileExistsError when ``run_id`` is taken, InvalidName for an invalid
        one."""
        record = RunRecord(
            new_run_id() if run_id is None else run_id, name, dict(spec), spec_path, _now(), dict(environment or {}),
            platform.node(), os.getpid(), process_start_time(os.getpid()),
        )  # fmt: skip
        self.files.create(record_path(record.run_id, "started"), _json(_begun(record)))
        return record

    def finish(
        self,
        record: RunRecord,
        status: Outcome,
        *,
        message: str = "",
        state: str | None = None,
        summary: Mapping[str, Any] | None = None,
        uses: Sequence[Use] = (),
    ) -> RunRecord:
        """Record how a run ended; FileExistsError when that is recorded already."""
        end = _End(status, _now(), message, state, dict(summary or {}), tuple(uses))
        self.files.create(record_path(record.run_id, "finished"), _json(asdict(end)))
        return end.of(record)

    def mark_crashed(self) -> list[RunRecord]:
        """Record the end of every run whose process is gone from this host; returns those that this call closed.

        Runs of other hosts, whose processes cannot be seen from here, stay open. Looks at one file a run.
        """
        closed = []
        for run_id in self.files.list("runs"):
            record = None if self.is_finished(run_id) or not self.is_started(run_id) else self.get_or_damaged(run_id)
            if record is not None and record.status == "died":
                with contextlib.suppress(FileExistsError):  # it did end, or another process closes it too
                    closed.append(self.finish(record, "died", message=f"its process {record.pid} was gone"))
        return closed

    def restore(self, record: RunRecord) -> None:
        """Write those of a run's files again that are damaged or lost; the damaged ones are set aside."""
        files: list[tuple[Part, Callable[[str], object], dict[str, Any]]] = [("started", self._started, _begun(record))]
        if record.finished_at is not None:
            end = {f.name: getattr(record, f.name) for f in fields(_End)}
            files.append(("finished", self._finished, end | {"uses": [asdict(use) for use in record.uses]}))
        for part, read, value in files:
            try:
                read(record.run_id)
            except (FileNotFoundError, DamagedRecord, UnknownRun):
                name = record_path(record.run_id, part)
                self.files.set_aside(name)
                self.files.create(name, _json(value))

    def get(self, run_id: str) -> RunRecord:
        """The record of a run; raises UnknownRun, or DamagedRecord for a file that cannot be read."""
        if not is_run_id(run_id) and self.is_started(run_id):
            path = f"{self.files.root}/runs/{run_id}"
            raise ForeignFile(path, "a folder whose name is no run's id", "remove it, or give it its run's id again")
        record = self._started(run_id)
        try:
            return self._finished(run_id).of(record)
        except FileNotFoundError:
            alive = may_be_running(record.host, record.pid, record.process_started)
            return record if alive else replace(record, status="died")

    def get_or_damaged(self, run_id: str) -> RunRecord:
        """The record of a run for a listing: a damaged one has that status and hides no other."""
        try:
            return self.get(run_id)
        except DamagedRecord as error:
            record = RunRecord(run_id, "", {}, None, "", {}, "", 0, 0.0)
            with contextlib.suppress(StorageError):
                record = self._started(run_id)
            return replace(record, status="damaged", message=str(error))

    def ids(self) -> list[str]:
        """All run ids; those made here sort by time."""
        return [id_ for id_ in self.files.list("runs") if self.is_started(id_)]

    def newest(self) -> Iterator[RunRecord]:
        """Every run, newest first, as ``listed``. Cost: a listing, and the files of those that are taken."""
        names = reversed(self.files.list("runs"))
        for _, together in groupby(names, key=lambda name: name.partition("-")[0]):  # of one second
            there = [id_ for id_ in together if self.is_started(id_)]
            yield from sorted(map(self.get_or_damaged, there), key=lambda record: record.started_at, reverse=True)

    def is_started(self, run_id: str) -> bool:
        """Whether the run has a record; a folder without one is of a process that died before it began."""
        return self._holds(run_id, "started")

    def is_finished(self, run_id: str) -> bool:
        """Whether the run's end is recorded."""
        return self._holds(run_id, "finished")

    def all(self) -> Iterator[RunRecord]:
        """Every run, oldest first, as ``listed``."""
        return map(self.get_or_damaged, self.ids())

    def _holds(self, run_id: str, part: Part) -> bool:
        """Whether a file of the record is there, also of a folder whose name is no id."""
        try:
            return self.files.exists(f"runs/{run_id}/{part}.json")
        except ForeignFile as error:
            if error.path == f"{self.files.root}/runs/{run_id}":  # a link that leads elsewhere: a damaged record
                return True
            if not is_run_id(run_id):
                return False
            raise

    def _started(self, run_id: str) -> RunRecord:
        try:
            name = record_path(run_id, "started")
            with self._readable(name):
                record = read_record(RunRecord, self.files.read(name))
                if record.run_id != run_id:
                    raise ValueError(f"it is the record of run {record.run_id}")
        except (FileNotFoundError, NotADirectoryError, InvalidName) as error:
            raise UnknownRun(f"no run {run_id!r} in {self.files.root}; `editflow runs` lists them") from error
        # Neither an older lake nor a stranger's had the secrets of addresses cut.
        return _open(replace(record, spec=wrap_addresses(record.spec), spec_path=wrap_addresses(record.spec_path)))

    def _finished(self, run_id: str) -> _End:
        name = record_path(run_id, "finished")
        with self._readable(name):
            end = read_record(_End, self.files.read(name))
        return replace(end, message=redact_text(end.message), summary=wrap_addresses(end.summary))

    @contextlib.contextmanager
    def _readable(self, name: str) -> Iterator[None]:
        """Turn the errors of damaged JSON into DamagedRecord."""
        try:
            yield
        except ValueError as error:
            remedy = "restore it, or remove the run's folder: its artifacts are whole and stay"
            raise DamagedRecord(self.files.path(name), remedy) from error


def record_path(run_id: str, part: Part) -> str:
    """The path of a run's file inside the lake. Raises InvalidName for an invalid run id."""
    if not is_run_id(run_id):
        raise InvalidName(f"{run_id!r} is no run's id: use 1 to 128 letters, digits, '.', '_' and '-'")
    return f"runs/{run_id}/{part}.json"


def _begun(record: RunRecord) -> dict[str, Any]:
    """What the first file holds of a record."""
    later = {f.name for f in fields(_End)}
    return {key: value for key, value in asdict(record).items() if key not in later}


def new_run_id() -> str:
    """A fresh id that sorts by time and differs between processes, such as 20261122T104530-1f0c9a."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"


@cache
def process_start_time(pid: int) -> float:
    """When this process was started, in Unix time as first computed: setting the clock later does not change it."""
    import psutil  # type: ignore[import-untyped]

    return float(psutil.Process(pid).create_time())


def may_be_running(host: str, pid: int, started: float) -> bool:
    """Whether a process may still exist (`started`: Unix time); on another host this is unknown, so it may."""
    import psutil

    if host != platform.node():
        return True
    if pid == os.getpid():  # in a container that is started again, the namesake is often this very process
        return abs(process_start_time(pid) - started) < 0.001
    try:
        process = psutil.Process(pid)
        # Process ids are reused; the start time identifies a reused one. It is computed from the wall clock,
        # which may be set while a run is running, hence the minute.
        namesake = abs(process.create_time() - started) > 60
        return not namesake and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _json(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=1) + "\n").encode()
