"""Requests and a judge without a model, for tests of the queue's transitions."""

from __future__ import annotations

from collections.abc import Sequence

from editflow.editing.requests.record import EditRequest
from editflow.tasks.releases.queue import Queue, QueuedRequest
from editflow.tasks.releases.release import Candidate


def fact(subject: str, target: str = "red") -> EditRequest:
    """A request; the target `bad` fails a gate."""
    return EditRequest(subject, "{} is", subject, target, "blue")


def judge(state: str | None, part: Sequence[QueuedRequest], held: Sequence[QueuedRequest]) -> Candidate:
    """A candidate whose state is the text of the applied requests; a part with a bad fact fails the gate."""
    del held
    name = f"{state or 'base'}+{','.join(entry.request.subject + entry.request.target_new for entry in part)}"
    bad = any(entry.request.target_new == "bad" for entry in part)
    return Candidate(name, {"efficacy": 100.0 * (not bad)}, ("efficacy 0 is under 90",) if bad else ())


def course(queue: Queue) -> list[list[object]]:
    """The events of a queue, without times and runs."""
    return [[move.move, list(move.entries), move.status, move.state] for _, move in queue.events()]
