"""A queue of edit requests and the releases they led to: two logs in the lake, from which all else is derived.

    <lake>/queues/<name>/      one value a submission: its requests, in order
    <lake>/releases/<name>/    one value a move: a batch begun, requests settled (released or rejected), a rollback
    <lake>/notices/<name>/     one value a message: the last event whose rejections were reported to people

All are refs (storage/records/refs.py), so only one of several writers can add the next event, and a request
is decided exactly once, with any number of processes and kills. Nothing is ever changed in place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar

from pydantic import TypeAdapter, ValidationError

from editflow.editing.requests.record import EditRequest
from editflow.storage.errors import DamagedRecord
from editflow.storage.files import Files
from editflow.storage.json_records import Count
from editflow.storage.records.refs import Refs

Shape = TypeVar("Shape")
Status = Literal["pending", "applied", "rejected", "superseded", "withdrawn"]


@dataclass(frozen=True)
class QueuedRequest:
    """A queued request. `position` is (submission, place in it); its request's id is unique in the whole queue."""

    position: tuple[int, int]
    request: EditRequest
    submitted_at: str

    @property
    def id(self) -> str:
        """What commands call it."""
        return f"{self.position[0]}.{self.position[1]}"

    @property
    def about(self) -> tuple[tuple[str, ...], ...]:
        """What it says something of: a later entry that shares any of it takes its place."""
        return tuple(self.request.unique_keys[1:])


@dataclass(frozen=True)
class ReleaseEvent:
    """One value of a release's log.

    `begin`: the entries of the next batch. `settle`: entries that are now applied or rejected, with the state that is
    released and what was measured of it, or, of rejected ones, the reasons. `rollback`: back to the release `to`.
    """

    move: Literal["begin", "settle", "rollback"]
    at: str
    entries: tuple[str, ...] = ()
    status: Literal["applied", "rejected"] = "applied"
    state: str | None = None  # a path is built from ids alone: storage/artifacts/manifest.py refuses anything else
    measures: Mapping[str, float] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()
    to: Count = 0
    run: str = ""


@dataclass(frozen=True)
class Outcome:
    """What became of an entry, by which release."""

    status: Status
    release: int
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReleaseState:
    """The result of the log of releases: the released state (None: the base model), its version, the outcomes.

    `line` are the releases that led to this one, 0 (the base model) first; `open` holds the entries of a batch
    that was begun, `measures` what was measured of the released state.
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
        """Append checked requests, all or none; returns their entries and the earlier ones whose place they take."""
        value = {"at": now(), "requests": [asdict(request) for request in requests]}
        number = self._submissions.append(self.name, value)
        entries = self.entries()
        mine = [entry for entry in entries if entry.position[0] == number]
        about = {mark for entry in mine for mark in entry.about}
        waiting = {e.id for e in pending([e for e in entries if e.position[0] < number], self.state())}
        replaced = [entry for entry in entries if entry.id in waiting and not about.isdisjoint(entry.about)]
        return mine, replaced

    def entries(self) -> list[QueuedRequest]:
        """Everything that was ever submitted, in order; raises DamagedRecord."""
        found = self._submissions.history(self.name)
        return [entry for number, value in found for entry in self._entries(number, value)]

    def events(self) -> list[tuple[int, ReleaseEvent]]:
        """(version, move) of the releases' log, the oldest first; raises DamagedRecord."""
        return [
            (version, self._read(_MOVE, value, self._moves, version))
            for version, value in self._moves.history(self.name)
        ]

    def state(self) -> ReleaseState:
        """Where the releases stand."""
        return final_state(self.replay())

    def replay(self) -> Iterator[tuple[ReleaseEvent | None, ReleaseState]]:
        """Every move with what stood after it; first nothing, with the base model."""
        return replay(self.events())

    def append_event(self, move: ReleaseEvent, expect: int) -> int:
        """Add an event after version `expect`; raises RefConflict if another process has added one since."""
        value = {key: value for key, value in asdict(move).items() if value}
        return self._moves.set(self.name, value, expect)

    @property
    def notices(self) -> Refs:
        """The last version of the releases' log whose rejections were reported to people."""
        return Refs(self.files, "notices")

    @property
    def _submissions(self) -> Refs:
        return Refs(self.files, "queues")

    @property
    def _moves(self) -> Refs:
        return Refs(self.files, "releases")

    def _entries(self, number: int, value: Any) -> Iterator[QueuedRequest]:
        submission = self._read(_SUBMISSION, value, self._submissions, number)
        for place, request in enumerate(submission.requests, 1):
            # Two submissions may call their requests alike; in the queue each has an id of its own.
            unique = replace(request, request_id=f"{request.request_id}@{number}")
            yield QueuedRequest((number, place), unique, submission.at)

    def _read(self, kind: TypeAdapter[Shape], value: Any, log: Refs, version: int) -> Shape:
        try:
            return kind.validate_python(value)
        except ValidationError as error:
            path = self.files.path(f"{log.folder}/{self.name}/{version:08d}.json")
            raise DamagedRecord(path, "restore it from a copy of the lake") from error


@dataclass(frozen=True)
class _Submission:
    at: str
    requests: tuple[EditRequest, ...]


_MOVE, _SUBMISSION = TypeAdapter(ReleaseEvent), TypeAdapter(_Submission)
"""Made once: making one takes a thousand times as long as reading a record with it."""


def replay(moves: Iterable[tuple[int, ReleaseEvent]]) -> Iterator[tuple[ReleaseEvent | None, ReleaseState]]:
    """Every event with the state after it; first (None, the initial state)."""
    now_ = ReleaseState()
    yield None, now_
    seen = {0: now_}
    for version, move in moves:
        now_ = _after(move, version, now_, seen)
        seen[version] = now_
        yield move, now_


def final_state(found: Iterable[tuple[ReleaseEvent | None, ReleaseState]]) -> ReleaseState:
    """The latest standing."""
    *_, (_, current) = found
    return current


def _after(move: ReleaseEvent, version: int, before: ReleaseState, seen: Mapping[int, ReleaseState]) -> ReleaseState:
    if move.move == "begin":
        return replace(before, version=version, open=move.entries)
    if move.move == "rollback":
        return _back(seen.get(move.to, seen[0]), version, before)
    outcome = Outcome(move.status, version, move.reasons)
    outcomes = {**before.outcomes, **dict.fromkeys(move.entries, outcome)}
    open_ = before.open if set(before.open) - outcomes.keys() else ()
    after = replace(before, version=version, outcomes=outcomes, open=open_)
    if move.status == "rejected":
        return after
    return replace(after, state=move.state, line=(*before.line, version), measures=move.measures)


def _back(to: ReleaseState, version: int, before: ReleaseState) -> ReleaseState:
    """An earlier release becomes current again: its requests are applied, later ones are withdrawn."""
    held = {id_: outcome for id_, outcome in to.outcomes.items() if outcome.status == "applied"}
    since = [id_ for id_, o in before.outcomes.items() if o.status == "applied" and id_ not in held]
    withdrawn = Outcome("withdrawn", version, (f"rolled back to release {to.release}",))
    return replace(
        to, version=version, outcomes={**before.outcomes, **dict.fromkeys(since, withdrawn), **held}, open=()
    )


def superseded(entries: Sequence[QueuedRequest]) -> dict[str, str]:
    """{id: id of the latest later entry about the same subject and relation, or subject and prompt}."""
    latest: dict[tuple[str, ...], str] = {}
    found: dict[str, str] = {}
    for entry in reversed(entries):
        later = next((latest[mark] for mark in entry.about if mark in latest), None)
        if later is not None:
            found[entry.id] = later
        for mark in entry.about:
            latest.setdefault(mark, entry.id)
    return found


def pending(entries: Sequence[QueuedRequest], current: ReleaseState) -> list[QueuedRequest]:
    """What waits, in order: not settled, and no later entry has taken its place."""
    replaced = superseded(entries)
    return [entry for entry in entries if entry.id not in current.outcomes and entry.id not in replaced]


def active(entries: Sequence[QueuedRequest], current: ReleaseState) -> list[QueuedRequest]:
    """The entries whose facts the released state should hold: applied, and by no later applied one replaced."""
    applied = [e for e in entries if e.id in current.outcomes and current.outcomes[e.id].status == "applied"]
    replaced = superseded(applied)
    return [entry for entry in applied if entry.id not in replaced]


def statuses(entries: Sequence[QueuedRequest], current: ReleaseState) -> dict[str, Outcome]:
    """What became of each entry; an entry that waits is pending."""
    replaced = superseded(entries)
    found: dict[str, Outcome] = {}
    for entry in entries:
        waits = Outcome("pending", 0)
        if entry.id in replaced and entry.id not in current.open:
            waits = Outcome("superseded", 0, (f"by {replaced[entry.id]}",))
        found[entry.id] = current.outcomes.get(entry.id, waits)
    return found


def now() -> str:
    """The time in UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
