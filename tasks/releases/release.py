"""Batches of a queue become releases: each is judged first, and a bad batch is halved until its bad facts are found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from editflow.storage.errors import RefConflict
from editflow.tasks.errors import NoSuchRelease
from editflow.tasks.releases.queue import Queue, QueuedRequest, ReleaseEvent, ReleaseState, active, now, pending


@dataclass(frozen=True)
class Candidate:
    """An edited state that may become the release. `breaches` are the gates that it breaks, with what was measured."""

    state: str
    measures: Mapping[str, float]
    breaches: tuple[str, ...] = ()


Judge = Callable[[str | None, Sequence[QueuedRequest], Sequence[QueuedRequest]], Candidate]
"""Applies entries to a state (None: the base model) that holds the facts of others, and measures the result.

It must be a function of these alone: a process that continues after a kill judges again, and must get the same
result."""


def apply_next(queue: Queue, size: int, judge: Judge, run: str = "") -> ReleaseState | None:
    """Begin the next batch of at most `size` entries, or continue the one begun; decide all of it.

    Returns the state then, None when nothing waits. Killed anywhere and started again, by any number of processes
    at once, the same entries are judged on the same states in the same order, and each is settled once.
    """
    while True:
        current, entries = queue.state(), queue.entries()
        batch = [entry for entry in entries if entry.id in current.open]
        waiting = batch or pending(entries, current)[:size]
        if not waiting:
            return None
        if not batch:
            move = ReleaseEvent("begin", now(), tuple(entry.id for entry in waiting), run=run)
        else:
            move = _settled(_unsettled(batch, current), current, entries, judge, run)
        try:
            queue.append_event(move, current.version)
        except RefConflict:  # another process added this event, or rolled back
            continue
        after = queue.state()
        if batch and not after.open:
            return after


def rollback(queue: Queue, to: int | None = None) -> ReleaseState:
    """Let release `to` stand again, the one before the present one unless given; 0 is the base model.

    Requests applied since are withdrawn: nothing applies them again but submitting them again. Those that were rejected
    stay so. Raises NoSuchRelease, and RefConflict if the release has changed in between.
    """
    *_, (_, present) = found = list(queue.replay())
    others = sorted({current.release for _, current in found} - {present.release})
    wanted = next(iter(present.line[-2:-1]), None) if to is None else to
    if wanted not in others:
        raise NoSuchRelease(queue.name, to, others)
    queue.append_event(ReleaseEvent("rollback", now(), to=wanted), present.version)
    return queue.state()


def _unsettled(batch: Sequence[QueuedRequest], current: ReleaseState) -> Sequence[QueuedRequest]:
    """The next part of a batch to judge: of parts that were halved, the first half of which nothing is settled."""
    settled = [entry.id in current.outcomes for entry in batch]
    if not any(settled):
        return batch
    half = len(batch) // 2
    return _unsettled(batch[half:] if all(settled[:half]) else batch[:half], current)


def _settled(
    part: Sequence[QueuedRequest], current: ReleaseState, entries: Sequence[QueuedRequest], judge: Judge, run: str
) -> ReleaseEvent:
    """What becomes of the part, or of its first half, or of the first half of that: of what the judge lets pass.

    What does not and cannot be halved is rejected.
    """
    about = {mark for entry in part for mark in entry.about}
    held = [entry for entry in active(entries, current) if about.isdisjoint(entry.about)]
    found = judge(current.state, part, held)
    if found.breaches and len(part) > 1:
        return _settled(part[: len(part) // 2], current, entries, judge, run)
    move = ReleaseEvent("settle", now(), tuple(entry.id for entry in part), measures=found.measures, run=run)
    if found.breaches:
        return replace(move, status="rejected", reasons=found.breaches)
    return replace(move, state=found.state)
