"""Each request is decided exactly once, with any number of workers, and after a kill at any point."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from support.queue_without_model import fact, judge

from editflow.storage.errors import DamagedRecord, RefConflict
from editflow.storage.files import Files
from editflow.storage.json_records import now
from editflow.tasks.errors import NoSuchRelease
from editflow.tasks.releases.queue import Outcome, Queue, QueuedRequest, ReleaseEvent, active, pending, statuses
from editflow.tasks.releases.release import Candidate, apply_next, rollback

ROOT = Path(__file__).parents[3]


class Killed(Exception):
    """The worker was killed."""


def mortal(calls: int):
    """A judge whose worker is killed in call number `calls` + 1."""
    left = [calls]

    def judged(state: str | None, part: Sequence[QueuedRequest], held: Sequence[QueuedRequest]) -> Candidate:
        left[0] -= 1
        if left[0] < 0:
            raise Killed
        return judge(state, part, held)

    return judged


@dataclass(frozen=True)
class Disturbed(Queue):
    """A queue with interference: before each event, one of `others` runs."""

    others: list[Callable[[], object]] = field(default_factory=list)

    def append_event(self, move: ReleaseEvent, expect: int) -> int:
        if self.others:
            self.others.pop(0)()
        return super().append_event(move, expect)


FACTS = st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from(["red", "bad"])), min_size=1, max_size=4,
                 unique_by=lambda found: found[0])  # fmt: skip
SIZE = st.integers(1, 4)
Facts = list[tuple[str, str]]


class Releases(RuleBasedStateMachine):
    """Submissions, workers that may be killed, and rollbacks: in any order, interleaved, and at the same time.

    Drawn values do not depend on the state: with threads, replaying an example may reach a different state.
    """

    kind: type[Disturbed] = Disturbed

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.queue = self.others()
        self.submitted = 0
        self.settled: dict[str, str] = {}

    def others(self, *others: Callable[[], object]) -> Disturbed:
        """The queue, with interfering calls."""
        return self.kind(Files(self.folder.name), "current", list(others))

    def submit_facts(self, queue: Queue, facts: Facts) -> tuple[list[QueuedRequest], list[QueuedRequest]]:
        self.submitted += len(facts)
        return queue.submit([fact(*one) for one in facts])

    def go_back(self) -> None:
        with suppress(NoSuchRelease, RefConflict):
            rollback(self.others())

    @initialize(facts=FACTS, more=FACTS, size=SIZE, calls=st.integers(0, 6))
    def under_way(self, facts: Facts, more: Facts, size: int, calls: int) -> None:
        """Most failures need a release and a batch that has begun."""
        self.submit_facts(self.queue, facts)
        self.work_whole(size)
        self.submit_facts(self.queue, more)
        self.work(size, calls)

    @rule(facts=FACTS)
    def submit(self, facts: Facts) -> None:
        before = pending(self.queue.entries(), self.queue.state())
        mine, replaced = self.submit_facts(self.queue, facts)
        subjects = [subject for subject, _ in facts]
        assert [entry.request.subject for entry in mine] == subjects
        assert [e.id for e in replaced] == [e.id for e in before if e.request.subject in subjects]
        found = statuses(self.queue.entries(), self.queue.state())
        for entry in replaced:  # each names its replacement, unless its batch has begun
            by = next(one.id for one in mine if one.request.subject == entry.request.subject)
            busy = entry.id in self.queue.state().open
            assert found[entry.id] == (Outcome("pending", 0) if busy else Outcome("superseded", 0, (f"by {by}",)))

    @rule(size=SIZE, calls=st.integers(0, 6))
    def work(self, size: int, calls: int) -> None:
        with suppress(Killed):
            apply_next(self.queue, size, mortal(calls))

    @rule(size=SIZE)
    def work_whole(self, size: int) -> None:
        entries, current = self.queue.entries(), self.queue.state()
        waiting = [id_ for id_, outcome in statuses(entries, current).items() if outcome.status == "pending"]
        wanted = current.open or tuple(waiting[:size])
        after = apply_next(self.queue, size, judge)
        assert (after is None) == (not wanted)
        if after is not None:  # exactly the batch that had begun, or the next one in order
            assert after.open == ()
            assert set(after.outcomes) == {*current.outcomes, *wanted}

    @rule(size=SIZE, who=st.lists(st.sampled_from(["worker", "mortal", "back", "submitter"]), max_size=4), facts=FACTS)
    def work_disturbed(self, size: int, who: list[str], facts: Facts) -> None:
        """Others append an event before each of the worker's: it must decide again, and decide nothing twice."""
        ways: dict[str, Callable[[], object]] = {
            "worker": lambda: apply_next(self.others(), size, judge),
            "mortal": lambda: self.work(size, 1),
            "back": self.go_back,
            "submitter": lambda: self.submit_facts(self.others(), facts),
        }
        after = apply_next(self.others(*(ways[one] for one in who)), size, judge)
        assert after is None or after.open == ()

    @rule(size=SIZE, calls=st.integers(0, 3), facts=FACTS)
    def work_at_once(self, size: int, calls: int, facts: Facts) -> None:
        """Two workers in threads, one of which may be killed, and a submission at the same time."""

        def die() -> None:
            with suppress(Killed):
                apply_next(self.others(), size, mortal(calls))

        with ThreadPoolExecutor(3) as pool:
            done = [
                pool.submit(way)
                for way in (
                    lambda: apply_next(self.others(), size, judge), die, lambda: self.submit_facts(self.others(), facts)
                )
            ]  # fmt: skip
        for one in done:
            one.result()

    @rule()
    def back(self) -> None:
        before = self.queue.state()
        with suppress(NoSuchRelease) if before.release else pytest.raises(NoSuchRelease):
            after = rollback(self.queue)
            assert after.line == before.line[:-1]
            assert after.open == ()

    @rule(which=st.integers(0, 9))
    def to_any(self, which: int) -> None:
        present = self.queue.state().release
        others = sorted({current.release for _, current in self.queue.replay()} - {present})
        if others:
            wanted = others[which % len(others)]
            there = next(current for _, current in self.queue.replay() if current.release == wanted)
            after = rollback(self.queue, wanted)
            assert (after.release, after.state, after.line) == (wanted, there.state, there.line)

    @rule(size=SIZE)
    def back_beside_a_worker(self, size: int) -> None:
        """A rollback whose log has changed meanwhile raises RefConflict and appends nothing."""
        current = self.queue.state()
        if current.release and (current.open or pending(self.queue.entries(), current)):
            with pytest.raises(RefConflict):
                rollback(self.others(lambda: apply_next(self.others(), size, judge)))
            assert self.queue.events()[-1][1].move == "settle"

    @invariant()
    def no_request_is_lost(self) -> None:
        entries, current = self.queue.entries(), self.queue.state()
        assert len(entries) == self.submitted
        assert len({entry.request.request_id for entry in entries}) == self.submitted
        assert set(statuses(entries, current)) == {entry.id for entry in entries}

    @invariant()
    def the_state_holds_the_applied_requests(self) -> None:
        entries, current = self.queue.entries(), self.queue.state()
        found = statuses(entries, current)
        applied = sorted(e.request.subject + e.request.target_new for e in entries if found[e.id].status == "applied")
        assert sorted((current.state or "base").replace("+", ",").split(",")[1:]) == applied
        guilty = {e.id for e in entries if e.request.target_new == "bad"}
        assert {id_ for id_, outcome in found.items() if outcome.status == "rejected"} <= guilty
        assert guilty.isdisjoint(id_ for id_, outcome in found.items() if outcome.status == "applied")
        held = active(entries, current)
        assert len({e.request.subject for e in held}) == len(held)

    @invariant()
    def each_is_settled_once_and_only_in_a_batch_that_was_begun(self) -> None:
        begun: tuple[str, ...] = ()
        settled: list[str] = []
        for _, move in self.queue.events():
            if move.move == "settle":
                settled += move.entries
                assert set(move.entries) <= set(begun)
            else:
                begun = move.entries
        assert len(settled) == len(set(settled))

    @invariant()
    def decisions_are_final(self) -> None:
        found = {id_: outcome.status for id_, outcome in self.queue.state().outcomes.items()}
        for id_, status in self.settled.items():
            assert found[id_] == status or {status, found[id_]} == {"applied", "withdrawn"}
        self.settled = found

    def teardown(self) -> None:
        self.folder.cleanup()


TestReleases = pytest.mark.exhaustive(Releases.TestCase)
TestReleases.settings = settings(deadline=None, max_examples=25, stateful_step_count=12)


@dataclass(frozen=True)
class Careless(Disturbed):
    """Appends to any version of the log, as a store without compare-and-set would."""

    def append_event(self, move: ReleaseEvent, expect: int) -> int:
        del expect
        if self.others:
            self.others.pop(0)()
        return Queue.append_event(self, move, max((version for version, _ in self.events()), default=0))


@pytest.mark.parametrize("kind", [Disturbed, Careless])
def test_without_compare_and_set_the_laws_do_not_hold(kind: type[Disturbed]) -> None:
    """A second worker decides what the first is about to decide."""
    machine = Releases()
    machine.kind = kind
    machine.submit(facts=[("a", "red")])
    machine.work_disturbed(size=1, who=["submitter", "worker"], facts=[("b", "red")])
    with pytest.raises(AssertionError) if kind is Careless else nullcontext():
        machine.each_is_settled_once_and_only_in_a_batch_that_was_begun()
    machine.teardown()


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    return Queue(Files(tmp_path), "current")


@pytest.mark.parametrize("bad", [[], [0], [2], [0, 4], [1, 2, 3], range(5)])
def test_bad_requests_are_found_by_halving_and_the_others_released(queue: Queue, bad: Sequence[int]) -> None:
    queue.submit([fact(subject, "bad" if n in bad else "red") for n, subject in enumerate("abcde")])
    current = apply_next(queue, 5, judge)
    assert current is not None
    found = statuses(queue.entries(), current)
    assert [outcome.status for outcome in found.values()] == ["rejected" if n in bad else "applied" for n in range(5)]
    for outcome in found.values():
        assert (outcome.reasons == ("efficacy 0 is under 90",)) == (outcome.status == "rejected")


def test_the_later_of_two_requests_that_break_a_gate_together_is_rejected(queue: Queue) -> None:
    """Each passes alone, so the first half is released and the rest is judged on top of it."""

    def together(state: str | None, part: Sequence[QueuedRequest], held: Sequence[QueuedRequest]) -> Candidate:
        found = judge(state, part, held)
        return replace(found, breaches=("both",) if "ared" in found.state and "dred" in found.state else ())

    queue.submit([fact(subject) for subject in "abcd"])
    current = apply_next(queue, 4, together)
    assert current is not None
    found = [outcome.status for outcome in statuses(queue.entries(), current).values()]
    assert found == ["applied", "applied", "applied", "rejected"]


def test_a_kill_at_any_moment_does_not_change_the_decisions(tmp_path: Path) -> None:
    facts = [fact(s, "bad" if s in "bd" else "red") for s in "abcdefg"]
    whole = Queue(Files(tmp_path / "whole"), "current")
    whole.submit(facts)
    while apply_next(whole, 4, judge):
        pass
    for calls in range(1, 12):
        queue = Queue(Files(tmp_path / str(calls)), "current")
        queue.submit(facts)
        for more in count():
            with suppress(Killed):
                if apply_next(queue, 4, mortal(calls + more)) is None:
                    break
        assert [(m.move, m.entries, m.state) for _, m in queue.events()] == [
            (m.move, m.entries, m.state) for _, m in whole.events()
        ]


MORTALS = """
import json, os, signal, sys
from itertools import count
from support.queue_without_model import course, fact, judge
from editflow.storage.files import Files
from editflow.tasks.releases.queue import Queue
from editflow.tasks.releases.release import apply_next

folder, workers = sys.argv[1], int(sys.argv[2])
left = -1

def moment():
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

def creating(self, name, data, inner=Files.create):
    moment()  # before a write
    inner(self, name, data)
    moment()  # after it

def linking(source, target, inner=os.link):
    moment()  # the bytes are written, the name is not
    inner(source, target)

def work(queue, moments):
    global left
    left = moments
    while apply_next(queue, 4, judge):
        pass

def mortal(queue, moments):
    if (pid := os.fork()) == 0:
        work(queue, moments)
        os._exit(0)
    return pid

Files.create, os.link = creating, linking
courses = []
for moments in count():  # at 0 no process is killed
    queue = Queue(Files(f"{folder}/{moments}"), "current")
    queue.submit([fact(subject, "bad" if subject in "bd" else "red") for subject in "abcdefg"])
    pids = [mortal(queue, moments) for _ in range(workers)]
    ends = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    assert set(ends) <= {0, -signal.SIGKILL}, ends
    left = -1
    work(queue, -1)
    courses.append(course(queue))
    if moments and 0 in ends:
        break
print(json.dumps(courses))
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_killed_between_any_two_writes(tmp_path: Path, workers: int) -> None:
    """Kill -9 at the first moment of the work, the second, and so on to the end, with one process or two at once.

    The next process resumes; the events are the same each time, and occur once.
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests")))}
    words = [sys.executable, "-c", MORTALS, str(tmp_path), str(workers)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr
    undisturbed, *others = json.loads(done.stdout)
    assert len(undisturbed) > 4
    assert len(others) >= 3 * len(undisturbed) / workers  # three moments per write, shared by the workers
    assert others == [undisturbed] * len(others)


def test_parallel_workers_decide_each_request_once(queue: Queue) -> None:
    queue.submit([fact(s, "bad" if s in "cx" else "red") for s in "abcdefghijklmnopqrstuvwxyz"])

    def work(_: int) -> None:
        while apply_next(queue, 3, judge):
            pass

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    settled = [id_ for _, move in queue.events() if move.move == "settle" for id_ in move.entries]
    assert sorted(settled) == sorted(entry.id for entry in queue.entries())


def test_a_later_request_replaces_a_pending_one_and_changes_an_applied_one(queue: Queue) -> None:
    (first,), _ = queue.submit([fact("a", "red")])
    _, replaced = queue.submit([fact("a", "green"), fact("b")])
    assert [entry.id for entry in replaced] == [first.id]
    current = apply_next(queue, 9, judge)
    assert current is not None
    assert current.state == "base+agreen,bred"
    outcomes = statuses(queue.entries(), current)
    assert (outcomes["1.1"].status, outcomes["1.1"].reasons) == ("superseded", ("by 2.1",))
    _, replaced = queue.submit([fact("a", "white")])
    assert replaced == []
    current = apply_next(queue, 9, judge)
    assert current is not None
    assert [entry.id for entry in active(queue.entries(), current)] == ["2.2", "3.1"]


def test_facts_that_a_batch_replaces_are_not_among_those_to_keep(queue: Queue) -> None:
    asked: list[list[str]] = []

    def watching(state: str | None, part: Sequence[QueuedRequest], held: Sequence[QueuedRequest]) -> Candidate:
        asked.append([entry.request.subject for entry in held])
        return judge(state, part, held)

    queue.submit([fact("a"), fact("b")])
    apply_next(queue, 9, watching)
    queue.submit([fact("b", "white")])
    apply_next(queue, 9, watching)
    assert asked == [[], ["a"]]


def test_withdrawn_requests_are_not_pending_again(queue: Queue) -> None:
    for subject in "ab":
        queue.submit([fact(subject), fact(f"{subject}2", "bad")])
        apply_next(queue, 1, judge)
        apply_next(queue, 1, judge)
    first, second = (n for n, m in queue.events() if m.move == "settle" and m.status == "applied")
    assert queue.state().release == second
    current = rollback(queue)
    assert (current.state, current.release) == ("base+ared", first)
    found = statuses(queue.entries(), current)
    assert [outcome.status for outcome in found.values()] == ["applied", "rejected", "withdrawn", "rejected"]
    assert apply_next(queue, 9, judge) is None
    assert rollback(queue, 0).state is None
    with pytest.raises(NoSuchRelease, match="choose one of"):
        rollback(queue)


@pytest.mark.parametrize("to", [-1, 1, 99])
def test_only_earlier_releases_can_become_current(queue: Queue, to: int) -> None:
    queue.submit([fact("a")])
    apply_next(queue, 1, judge)
    with pytest.raises(NoSuchRelease, match=f"no other release {to}"):
        rollback(queue, to)


def test_an_event_after_an_old_version_is_refused(queue: Queue) -> None:
    queue.submit([fact("a")])
    queue.append_event(ReleaseEvent("begin", now(), ("1.1",)), 0)
    with pytest.raises(RefConflict):
        queue.append_event(ReleaseEvent("begin", now(), ("1.1",)), 0)


def test_a_damaged_record_is_named(queue: Queue, tmp_path: Path) -> None:
    queue.submit([fact("a")])
    apply_next(queue, 1, judge)
    for name in ("queues", "releases"):
        file = tmp_path / f"{name}/current/00000001.json"
        kept = file.read_bytes()
        file.write_text('{"value": {"at": 3}}')
        with pytest.raises(DamagedRecord, match=f"^{file} is damaged; restore it"):
            statuses(queue.entries(), queue.state())
        file.write_bytes(kept)
    assert [replace(e.request, request_id="a") for e in queue.entries()] == [fact("a")]
