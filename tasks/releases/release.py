"""Batches of a queue become releases: each is judged first, and a bad batch is halved until its bad facts are found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from editflow.storage.errors import RefConflict
from editflow.storage.json_records import now
from editflow.tasks.errors import NoSuchRelease
from editflow.tasks.releases.queue import Queue, QueuedRequest, ReleaseEvent, ReleaseState, active, pending


@dataclass(frozen=True)
class Candidate:
    """An edited state that may become a release. `breaches` names each gate that it breaks, with its measurement."""

    state: str
    measures: Mapping[str, float]
    breaches: tuple[str, ...] = ()


Judge = Callable[[str | None, Sequence[QueuedRequest], Sequence[QueuedRequest]], Candidate]
"""Applies entries to a state (None: the base model) that holds the facts of others, and measures the result.

It must depend on these arguments only: a process that resumes after a kill judges again and must get the same
result."""


def apply_next(queue: Queue, size: int, judge: Judge, run: str = "") -> ReleaseState | None:
    """Begin the next batch of at most `size` entries, or resume the one that has begun, and decide all of it.

    Returns the state after it, or None if no entry waits. After a kill at any point, and with any number of
    processes at once, the same entries are judged on the same states in the same order, and each is decided once.
    """
    while True:
        current, entries = queue.state(), queue.entries()
        batch = [entry for entry in entries if entry.id in current.open]
        waiting = batch or pending(entries, current)[:size]
        if not waiting:
            return None
        if not batch:
            event = ReleaseEvent("begin", now(), tuple(entry.id for entry in waiting), run=run)
        else:
            event = _decide(_next_part(batch, current), current, entries, judge, run)
        try:
            queue.append_event(event, current.version)
        except RefConflict:  # another process appended this event, or rolled back
            continue
        after = queue.state()
        if batch and not after.open:
            return after


def rollback(queue: Queue, to: int | None = None) -> ReleaseState:
    """Make release `to` current again; by default the one before the current one; 0 is the base model.

    Requests applied since are withdrawn: they are applied again only if they are submitted again. Rejected ones stay
    rejected. Raises NoSuchRelease, and RefConflict if the release has changed in between.
    """
    *_, (_, current) = history = list(queue.replay())
    others = sorted({state.release for _, state in history} - {current.release})
    target = next(iter(current.line[-2:-1]), None) if to is None else to
    if target not in others:
        raise NoSuchRelease(queue.name, to, others)
    queue.append_event(ReleaseEvent("rollback", now(), to=target), current.version)
    return queue.state()


def _next_part(batch: Sequence[QueuedRequest], current: ReleaseState) -> Sequence[QueuedRequest]:
    """The first undecided part of a batch: the whole batch, or the half of a half (…) that comes next."""
    decided = [entry.id in current.outcomes for entry in batch]
    if not any(decided):
        return batch
    half = len(batch) // 2
    return _next_part(batch[half:] if all(decided[:half]) else batch[:half], current)


def _decide(
    part: Sequence[QueuedRequest], current: ReleaseState, entries: Sequence[QueuedRequest], judge: Judge, run: str
) -> ReleaseEvent:
    """Judge a part; if it breaks a gate, judge its first half, and so on. Reject a single entry that breaks one."""
    keys = {key for entry in part for key in entry.fact_keys}
    kept = [entry for entry in active(entries, current) if keys.isdisjoint(entry.fact_keys)]
    candidate = judge(current.state, part, kept)
    if candidate.breaches and len(part) > 1:
        return _decide(part[: len(part) // 2], current, entries, judge, run)
    event = ReleaseEvent("settle", now(), tuple(entry.id for entry in part), measures=candidate.measures, run=run)
    if candidate.breaches:
        return replace(event, status="rejected", reasons=candidate.breaches)
    return replace(event, state=candidate.state)
