"""Run records: two small files for each run, each written once.

    <lake>/runs/<run_id>/started.json      the spec, time, machine and process
    <lake>/runs/<run_id>/finished.json     the outcome, and the artifacts that it created and reused

A run whose process no longer exists and that has no second file has died. Readers derive this until a later run
records it (``mark_crashed``). The folder's name is the run id; a record with another id is damaged.
"""

import contextlib
import json
import os
import platform
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from functools import cache
from itertools import groupby
from typing import Any, Literal

from editflow.storage.address import redact_text, wrap_addresses
from editflow.storage.errors import DamagedRecord, ForeignFile, InvalidName, StorageError, UnknownRun
from editflow.storage.files import Files
from editflow.storage.json_records import (
    Count,
    Id,
    RunId,
    Seconds,
    Summary,
    Time,
    UnixTime,
    is_run_id,
    now,
    read_record,
)

Outcome = Literal["completed", "failed", "interrupted", "died"]
Part = Literal["started", "finished"]


@dataclass(frozen=True)
class Use:
    """One artifact that a run created or reused. ``seconds``: wall-clock time of its computation, 0 if reused."""

    artifact: Id
    stage: str
    how: Literal["created", "reused"]
    seconds: Seconds = 0.0


@dataclass(frozen=True)
class RunRecord:
    """One run. ``status`` is running, died, completed, failed or interrupted; times are UTC in ISO 8601.

    In a listing, ``status`` can also be damaged: ``message`` then names the file, and the other fields contain what can
    still be read.
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
    """The content of the second file: the fields of a record that are known only at the end of the run."""

    status: Outcome
    finished_at: Time
    message: str
    state: Id | None
    summary: Summary
    uses: tuple[Use, ...]

    def added_to(self, record: RunRecord) -> RunRecord:
        return replace(record, **vars(self))


def _without_end(record: RunRecord) -> RunRecord:
    """The record with the fields that only the second file may set at their defaults."""
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
        """Record that this process starts a run. Raises FileExistsError if ``run_id`` is taken, InvalidName."""
        record = RunRecord(
            new_run_id() if run_id is None else run_id, name, dict(spec), spec_path, now(), dict(environment or {}),
            platform.node(), os.getpid(), process_start_time(os.getpid()),
        )  # fmt: skip
        self.files.create(record_path(record.run_id, "started"), _json(_started_fields(record)))
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
        """Record how a run ended. Raises FileExistsError if its end is already recorded."""
        end = _End(status, now(), message, state, dict(summary or {}), tuple(uses))
        self.files.create(record_path(record.run_id, "finished"), _json(asdict(end)))
        return end.added_to(record)

    def mark_crashed(self) -> list[RunRecord]:
        """Record the end of every run of this host whose process no longer exists; returns the runs that it marked.

        Runs of other hosts are left, because their processes are not visible. Cost: one look-up of a file per run.
        """
        marked = []
        for run_id in self.files.list("runs"):
            record = None if self.is_finished(run_id) or not self.is_started(run_id) else self.get_or_damaged(run_id)
            if record is not None and record.status == "died":
                with contextlib.suppress(FileExistsError):  # it did end, or another process marks it too
                    marked.append(self.finish(record, "died", message=f"its process {record.pid} no longer exists"))
        return marked

    def restore(self, record: RunRecord) -> None:
        """Write the damaged and missing files of a run again; damaged ones are set aside."""
        contents: dict[Part, dict[str, Any]] = {"started": _started_fields(record)}
        if record.finished_at is not None:
            end = {f.name: getattr(record, f.name) for f in fields(_End)}
            contents["finished"] = end | {"uses": [asdict(use) for use in record.uses]}
        for part, content in contents.items():
            try:
                self._started(record.run_id) if part == "started" else self._finished(record.run_id)
            except (FileNotFoundError, DamagedRecord, UnknownRun):
                name = record_path(record.run_id, part)
                self.files.set_aside(name)
                self.files.create(name, _json(content))

    def get(self, run_id: str) -> RunRecord:
        """The record of a run. Raises UnknownRun, or DamagedRecord for an unreadable file."""
        if not is_run_id(run_id) and self.is_started(run_id):
            path = f"{self.files.root}/runs/{run_id}"
            raise ForeignFile(path, "a folder whose name is not a run id", "remove it, or rename it to its run id")
        record = self._started(run_id)
        try:
            return self._finished(run_id).added_to(record)
        except FileNotFoundError:
            alive = may_be_running(record.host, record.pid, record.process_started)
            return record if alive else replace(record, status="died")

    def get_or_damaged(self, run_id: str) -> RunRecord:
        """The record of a run for a listing: a damaged record has status damaged and does not raise."""
        try:
            return self.get(run_id)
        except DamagedRecord as error:
            record = RunRecord(run_id, "", {}, None, "", {}, "", 0, 0.0)
            with contextlib.suppress(StorageError):
                record = self._started(run_id)
            return replace(record, status="damaged", message=str(error))

    def ids(self) -> list[str]:
        """All run ids; those of `new_run_id` sort by time."""
        return [id_ for id_ in self.files.list("runs") if self.is_started(id_)]

    def newest(self) -> Iterator[RunRecord]:
        """All runs for a listing, newest first. Cost: a listing, and the files of the runs that are consumed."""
        names = reversed(self.files.list("runs"))
        for _, same_second in groupby(names, key=lambda name: name.partition("-")[0]):
            started = filter(self.is_started, same_second)
            yield from sorted(map(self.get_or_damaged, started), key=lambda record: record.started_at, reverse=True)

    def is_started(self, run_id: str) -> bool:
        """Whether the run has a record; a folder without one is left by a process that died before the run began."""
        return self._has_file(run_id, "started")

    def is_finished(self, run_id: str) -> bool:
        """Whether the end of the run is recorded."""
        return self._has_file(run_id, "finished")

    def all(self) -> Iterator[RunRecord]:
        """All runs for a listing, oldest first."""
        return map(self.get_or_damaged, self.ids())

    def _has_file(self, run_id: str, part: Part) -> bool:
        """Whether a file of the record exists, also in a folder whose name is not a run id."""
        try:
            return self.files.exists(f"runs/{run_id}/{part}.json")
        except ForeignFile as error:
            if error.path == f"{self.files.root}/runs/{run_id}":  # a link out of the lake: a damaged record
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
                    raise ValueError(f"the record is of run {record.run_id}")
        except (FileNotFoundError, NotADirectoryError, InvalidName) as error:
            raise UnknownRun(f"no run {run_id!r} in {self.files.root}; `editflow runs` lists them") from error
        # Records of older versions, and of other programs, may contain the secrets of addresses.
        spec, spec_path = wrap_addresses(record.spec), wrap_addresses(record.spec_path)
        return _without_end(replace(record, spec=spec, spec_path=spec_path))

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
            remedy = "restore it, or remove the run's folder: its artifacts are intact and remain"
            raise DamagedRecord(self.files.path(name), remedy) from error


def record_path(run_id: str, part: Part) -> str:
    """The path of a run's file inside the lake. Raises InvalidName for an invalid run id."""
    if not is_run_id(run_id):
        raise InvalidName(f"{run_id!r} is not a run id: use 1 to 128 letters, digits, '.', '_' and '-'")
    return f"runs/{run_id}/{part}.json"


def _started_fields(record: RunRecord) -> dict[str, Any]:
    """The fields of a record in the first file."""
    later = {f.name for f in fields(_End)}
    return {key: value for key, value in asdict(record).items() if key not in later}


def new_run_id() -> str:
    """A new, unique id that sorts by time, such as 20261122T104530-1f0c9a."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"


@cache
def process_start_time(pid: int) -> float:
    """The Unix time at which a process started, as first computed: changing the clock later does not change it."""
    import psutil  # type: ignore[import-untyped]

    return float(psutil.Process(pid).create_time())


def may_be_running(host: str, pid: int, started: float) -> bool:
    """Whether a process that started at a Unix time may still be running; unknown on another host, hence True."""
    import psutil

    if host != platform.node():
        return True
    if pid == os.getpid():  # after a container restarts, its main process often has the same id
        return abs(process_start_time(pid) - started) < 0.001
    try:
        process = psutil.Process(pid)
        # Process ids are reused, so start times are compared. They are computed from the wall clock, which may be
        # changed during a run, hence the tolerance of a minute.
        is_other = abs(process.create_time() - started) > 60
        return not is_other and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _json(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=1) + "\n").encode()
