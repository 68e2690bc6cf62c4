"""A queue of edit requests and its releases: two logs in the lake, from which everything else is derived.

    <lake>/queues/<name>/      one value per submission: its requests, in order
    <lake>/releases/<name>/    one value per event: a batch begins, requests are applied or rejected, a rollback
    <lake>/notices/<name>/     one value per message: the last event whose rejections were reported to people

All are refs (storage/records/refs.py): only one of several writers can append the next event, so each request is
decided exactly once with any number of processes and kills. No value is ever changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, TypeVar

from pydantic import TypeAdapter, ValidationError

from editflow.editing.requests.record import EditRequest
from editflow.storage.errors import DamagedRecord
from editflow.storage.files import Files
from editflow.storage.json_records import Count, now
from editflow.storage.records.refs import Refs

Shape = TypeVar("Shape")
Status = Literal["pending", "applied", "rejected", "superseded", "withdrawn"]


@dataclass(frozen=True)
class QueuedRequest:
    """A queued request. `position` is (submission, place in it); the request's id is unique in the whole queue."""

    position: tuple[int, int]
    request: EditRequest
    submitted_at: str

    @property
    def id(self) -> str:
        """Its name in commands."""
        return f"{self.position[0]}.{self.position[1]}"

    @property
    def fact_keys(self) -> tuple[tuple[str, ...], ...]:
        """Keys of the edited fact: a later entry that shares one of them replaces this one."""
        return tuple(self.request.unique_keys[1:])


@dataclass(frozen=True)
class ReleaseEvent:
    """One value of the log of releases.

    `begin`: the entries of the next batch. `settle`: entries that are now applied, with the released state and its
    measurements, or rejected, with the reasons. `rollback`: back to release `to`.
    """

    move: Literal["begin", "settle", "rollback"]
    at: str
    entries: tuple[str, ...] = ()
    status: Literal["applied", "rejected"] = "applied"
    state: str | None = None  # only ids become paths: storage/artifacts/manifest.py refuses anything else
    measures: Mapping[str, float] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()
    to: Count = 0
    run: str = ""


@dataclass(frozen=True)
class Outcome:
    """The decision on an entry, and the version of the release that made it."""

    status: Status
    release: int
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReleaseState:
    """The result of the log of releases: the released state (None: the base model), its version, the outcomes.

    `line` is the sequence of releases that led to this one, from 0 (the base model); `open` the entries of a batch
    that has begun; `measures` the measurements of the released state.
    """

    state: str | None = None
    version: int = 0
    line: tuple[int, ...] = (0,)
    outcomes: Mapping[str, Outcome] = field(default_factory=dict)
    open: tuple[str, ...] = ()
    measures: Mapping[str, float] = field(default_factory=dict)

    @property
    def release(self) -> int:
        """The version that made the release."""
        return self.line[-1]


@dataclass(frozen=True)
class Queue:
    """The queue and the releases of one name in a lake: ``Queue(lake.files, "current")``."""

    files: Files
    name: str

    def submit(self, requests: Sequence[EditRequest]) -> tuple[list[QueuedRequest], list[QueuedRequest]]:
        """Append checked requests, all or none; return their entries and the pending entries that they replace."""
        value = {"at": now(), "requests": [asdict(request) for request in requests]}
        number = self._submissions.append(self.name, value)
        entries = self.entries()
        added = [entry for entry in entries if entry.position[0] == number]
        keys = {key for entry in added for key in entry.fact_keys}
        waiting = pending([entry for entry in entries if entry.position[0] < number], self.state())
        return added, [entry for entry in waiting if not keys.isdisjoint(entry.fact_keys)]

    def entries(self) -> list[QueuedRequest]:
        """All submitted requests, in order. Raises DamagedRecord."""
        values = self._submissions.history(self.name)
        return [entry for number, value in values for entry in self._entries(number, value)]

    def events(self) -> list[tuple[int, ReleaseEvent]]:
        """(version, event) of the log of releases, oldest first. Raises DamagedRecord."""
        return [
            (version, self._read(_EVENT, value, self._releases, version))
            for version, value in self._releases.history(self.name)
        ]

    def state(self) -> ReleaseState:
        """The current state of the releases."""
        *_, (_, current) = self.replay()
        return current

    def replay(self) -> Iterator[tuple[ReleaseEvent | None, ReleaseState]]:
        """Every event with the state after it; first (None, the initial state)."""
        current = ReleaseState()
        yield None, current
        states = {0: current}
        for version, event in self.events():
            states[version] = current = _after(event, version, current, states)
            yield event, current

    def append_event(self, event: ReleaseEvent, expect: int) -> int:
        """Append an event after version `expect`. Raises RefConflict if another process has appended one since."""
        value = {key: value for key, value in asdict(event).items() if value}
        return self._releases.set(self.name, value, expect)

    @property
    def notices(self) -> Refs:
        """The last event whose rejections were reported to people."""
        return Refs(self.files, "notices")

    @property
    def _submissions(self) -> Refs:
        return Refs(self.files, "queues")

    @property
    def _releases(self) -> Refs:
        return Refs(self.files, "releases")

    def _entries(self, number: int, value: Any) -> Iterator[QueuedRequest]:
        submission = self._read(_SUBMISSION, value, self._submissions, number)
        for place, request in enumerate(submission.requests, 1):
            # Two submissions may use the same request id; the suffix makes it unique in the queue.
            unique = replace(request, request_id=f"{request.request_id}@{number}")
            yield QueuedRequest((number, place), unique, submission.at)

    def _read(self, adapter: TypeAdapter[Shape], value: Any, log: Refs, version: int) -> Shape:
        try:
            return adapter.validate_python(value)
        except ValidationError as error:
            path = self.files.path(f"{log.folder}/{self.name}/{version:08d}.json")
            raise DamagedRecord(path, "restore it from a copy of the lake") from error


@dataclass(frozen=True)
class _Submission:
    at: str
    requests: tuple[EditRequest, ...]


_EVENT, _SUBMISSION = TypeAdapter(ReleaseEvent), TypeAdapter(_Submission)
"""Created once: creating an adapter takes a thousand times as long as reading a record with it."""


def _after(event: ReleaseEvent, version: int, before: ReleaseState, states: Mapping[int, ReleaseState]) -> ReleaseState:
    """The state after an event; `states` holds the earlier ones by version."""
    if event.move == "begin":
        return replace(before, version=version, open=event.entries)
    if event.move == "rollback":
        return _rolled_back(states.get(event.to, states[0]), version, before)
    outcome = Outcome(event.status, version, event.reasons)
    outcomes = {**before.outcomes, **dict.fromkeys(event.entries, outcome)}
    open_ = before.open if set(before.open) - outcomes.keys() else ()
    after = replace(before, version=version, outcomes=outcomes, open=open_)
    if event.status == "rejected":
        return after
    return replace(after, state=event.state, line=(*before.line, version), measures=event.measures)


def _rolled_back(to: ReleaseState, version: int, before: ReleaseState) -> ReleaseState:
    """An earlier release becomes current again: its requests are applied, later ones are withdrawn."""
    applied = {id_: outcome for id_, outcome in to.outcomes.items() if outcome.status == "applied"}
    later = [id_ for id_, o in before.outcomes.items() if o.status == "applied" and id_ not in applied]
    withdrawn = Outcome("withdrawn", version, (f"rolled back to release {to.release}",))
    outcomes = {**before.outcomes, **dict.fromkeys(later, withdrawn), **applied}
    return replace(to, version=version, outcomes=outcomes, open=())


def superseded(entries: Sequence[QueuedRequest]) -> dict[str, str]:
    """{id: id of the latest later entry with the same subject and relation, or subject and prompt}."""
    latest: dict[tuple[str, ...], str] = {}
    found: dict[str, str] = {}
    for entry in reversed(entries):
        later = next((latest[key] for key in entry.fact_keys if key in latest), None)
        if later is not None:
            found[entry.id] = later
        for key in entry.fact_keys:
            latest.setdefault(key, entry.id)
    return found


def pending(entries: Sequence[QueuedRequest], current: ReleaseState) -> list[QueuedRequest]:
    """The waiting entries, in order: not decided, and not replaced by a later entry."""
    replaced = superseded(entries)
    return [entry for entry in entries if entry.id not in current.outcomes and entry.id not in replaced]


def active(entries: Sequence[QueuedRequest], current: ReleaseState) -> list[QueuedRequest]:
    """The entries whose facts the released state should hold: applied, and not replaced by a later applied entry."""
    applied = [e for e in entries if e.id in current.outcomes and current.outcomes[e.id].status == "applied"]
    replaced = superseded(applied)
    return [entry for entry in applied if entry.id not in replaced]


def statuses(entries: Sequence[QueuedRequest], current: ReleaseState) -> dict[str, Outcome]:
    """The outcome of each entry by id; `pending` for a waiting one."""
    replaced = superseded(entries)
    found: dict[str, Outcome] = {}
    for entry in entries:
        undecided = Outcome("pending", 0)
        if entry.id in replaced and entry.id not in current.open:
            undecided = Outcome("superseded", 0, (f"by {replaced[entry.id]}",))
        found[entry.id] = current.outcomes.get(entry.id, undecided)
    return found
