"""Every transition of queue and releases is a law: each request is settled once, whoever works and whenever killed."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from editing.requests.record import EditRequest
from storage.errors import DamagedRecord, RefConflict
from storage.files import Files
from tasks.errors import NoSuchRelease
from tasks.queue import Entry, Move, Queue, in_force, now, pending, statuses
from tasks.releases import Candidate, apply_next, rollback


def fact(subject: str, target: str = "red") -> EditRequest:
    """A request; one whose target is `bad` breaks a gate."""
    return EditRequest(subject, "{} is", subject, target, "blue")


def judge(state: str | None, part: Sequence[Entry], held: Sequence[Entry]) -> Candidate:
    """A state is the text of what was applied; a part with a bad fact is not let through."""
    del held
    name = f"{state or 'base'}+{','.join(entry.request.subject + entry.request.target_new for entry in part)}"
    bad = any(entry.request.target_new == "bad" for entry in part)
    return Candidate(name, {"efficacy": 100.0 * (not bad)}, ("efficacy 0 is under 90",) if bad else ())


class Killed(Exception):
    """The worker is gone."""


def mortal(calls: int):
    """A judge whose worker is killed in its n-th call."""
    left = [calls]

    def judged(state: str | None, part: Sequence[Entry], held: Sequence[Entry]) -> Candidate:
        left[0] -= 1
        if left[0] < 0:
            raise Killed
        return judge(state, part, held)

    return judged


class Releases(RuleBasedStateMachine):
    """Submissions, workers that may be killed, and rollbacks in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.queue = Queue(Files(self.folder.name), "current")
        self.submitted = 0
        self.settled: dict[str, str] = {}

    @rule(facts=st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from(["red", "bad"])), min_size=1, max_size=4,
                         unique_by=lambda found: found[0]))  # fmt: skip
    def submit(self, facts: list[tuple[str, str]]) -> None:
        before = {e.id for e in pending(self.queue.entries(), self.queue.standing())}
        mine, replaced = self.queue.submit([fact(*one) for one in facts])
        self.submitted += len(facts)
        subjects = {subject for subject, _ in facts}
        assert [entry.request.subject for entry in mine] == [subject for subject, _ in facts]
        assert {e.id for e in replaced} == {e.id for e in replaced if e.request.subject in subjects} & before

    @rule(size=st.integers(1, 4), calls=st.integers(0, 6))
    def work(self, size: int, calls: int) -> None:
        with suppress(Killed):
            apply_next(self.queue, size, mortal(calls))

    @rule(size=st.integers(1, 4))
    def work_whole(self, size: int) -> None:
        after = apply_next(self.queue, size, judge)
        assert after is None or after.open == ()

    @precondition(lambda self: self.queue.standing().release > 0)
    @rule()
    def back(self) -> None:
        before = self.queue.standing()
        after = rollback(self.queue)
        assert after.line == before.line[:-1]
        assert after.open == ()

    @rule(data=st.data())
    def to_any(self, data: st.DataObject) -> None:
        present = self.queue.standing().release
        others = sorted({standing.release for _, standing in self.queue.standings()} - {present})
        if others:
            wanted = data.draw(st.sampled_from(others))
            assert rollback(self.queue, wanted).release == wanted

    @invariant()
    def nothing_is_lost(self) -> None:
        entries, standing = self.queue.entries(), self.queue.standing()
        assert len(entries) == self.submitted
        assert len({entry.request.request_id for entry in entries}) == self.submitted
        assert set(statuses(entries, standing)) == {entry.id for entry in entries}

    @invariant()
    def the_state_holds_what_was_applied(self) -> None:
        entries, standing = self.queue.entries(), self.queue.standing()
        found = statuses(entries, standing)
        applied = sorted(e.request.subject + e.request.target_new for e in entries if found[e.id].status == "applied")
        assert sorted((standing.state or "base").replace("+", ",").split(",")[1:]) == applied
        assert not any(e.request.target_new == "bad" for e in entries if found[e.id].status == "applied")
        held = in_force(entries, standing)
        assert len({e.request.subject for e in held}) == len(held)

    @invariant()
    def what_is_settled_stays_settled(self) -> None:
        found = {id_: outcome.status for id_, outcome in self.queue.standing().outcomes.items()}
        for id_, status in self.settled.items():
            assert found[id_] == status or {status, found[id_]} == {"applied", "withdrawn"}
        self.settled = found

    def teardown(self) -> None:
        self.folder.cleanup()


TestReleases = Releases.TestCase
TestReleases.settings = settings(deadline=None, max_examples=15, stateful_step_count=10)


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    return Queue(Files(tmp_path), "current")


@pytest.mark.parametrize("bad", [[], [0], [2], [0, 4], [1, 2, 3], range(5)])
def test_the_guilty_are_found_by_halves_and_the_others_released(queue: Queue, bad: Sequence[int]) -> None:
    queue.submit([fact(subject, "bad" if n in bad else "red") for n, subject in enumerate("abcde")])
    standing = apply_next(queue, 5, judge)
    assert standing is not None
    found = statuses(queue.entries(), standing)
    assert [outcome.status for outcome in found.values()] == ["rejected" if n in bad else "applied" for n in range(5)]
    for outcome in found.values():
        assert (outcome.reasons == ("efficacy 0 is under 90",)) == (outcome.status == "rejected")


def test_a_kill_at_any_moment_changes_nothing_of_what_comes(tmp_path: Path) -> None:
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
        assert [(m.move, m.entries, m.state) for _, m in queue.moves()] == [
            (m.move, m.entries, m.state) for _, m in whole.moves()
        ]


def test_workers_at_once_settle_each_request_once(queue: Queue) -> None:
    queue.submit([fact(s, "bad" if s in "cx" else "red") for s in "abcdefghijklmnopqrstuvwxyz"])

    def work(_: int) -> None:
        while apply_next(queue, 3, judge):
            pass

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    settled = [id_ for _, move in queue.moves() if move.move == "settle" for id_ in move.entries]
    assert sorted(settled) == sorted(entry.id for entry in queue.entries())


def test_a_later_request_takes_the_place_of_one_that_waits_and_changes_one_that_was_applied(queue: Queue) -> None:
    (first,), _ = queue.submit([fact("a", "red")])
    _, replaced = queue.submit([fact("a", "green"), fact("b")])
    assert [entry.id for entry in replaced] == [first.id]
    standing = apply_next(queue, 9, judge)
    assert standing is not None
    assert standing.state == "base+agreen,bred"
    outcomes = statuses(queue.entries(), standing)
    assert (outcomes["1.1"].status, outcomes["1.1"].reasons) == ("superseded", ("by 2.1",))
    _, replaced = queue.submit([fact("a", "white")])
    assert replaced == []
    standing = apply_next(queue, 9, judge)
    assert standing is not None
    assert [entry.id for entry in in_force(queue.entries(), standing)] == ["2.2", "3.1"]


def test_what_must_be_kept_does_not_hold_what_the_batch_replaces(queue: Queue) -> None:
    asked: list[list[str]] = []

    def watching(state: str | None, part: Sequence[Entry], held: Sequence[Entry]) -> Candidate:
        asked.append([entry.request.subject for entry in held])
        return judge(state, part, held)

    queue.submit([fact("a"), fact("b")])
    apply_next(queue, 9, watching)
    queue.submit([fact("b", "white")])
    apply_next(queue, 9, watching)
    assert asked == [[], ["a"]]


def test_rolled_back_requests_wait_for_nobody(queue: Queue) -> None:
    for subject in "ab":
        queue.submit([fact(subject), fact(f"{subject}2", "bad")])
        apply_next(queue, 1, judge)
        apply_next(queue, 1, judge)
    first, second = (n for n, m in queue.moves() if m.move == "settle" and m.status == "applied")
    assert queue.standing().release == second
    standing = rollback(queue)
    assert (standing.state, standing.release) == ("base+ared", first)
    found = statuses(queue.entries(), standing)
    assert [outcome.status for outcome in found.values()] == ["applied", "rejected", "withdrawn", "rejected"]
    assert apply_next(queue, 9, judge) is None
    assert rollback(queue, 0).state is None
    with pytest.raises(NoSuchRelease, match="no release before the present one: choose one of"):
        rollback(queue)


@pytest.mark.parametrize("to", [-1, 1, 99])
def test_only_earlier_releases_can_be_gone_back_to(queue: Queue, to: int) -> None:
    queue.submit([fact("a")])
    apply_next(queue, 1, judge)
    with pytest.raises(NoSuchRelease, match=f"no other release {to}: choose one of 0; `editflow releases current`"):
        rollback(queue, to)


def test_who_comes_late_moves_nothing(queue: Queue) -> None:
    queue.submit([fact("a")])
    queue.move(Move("begin", now(), ("1.1",)), 0)
    with pytest.raises(RefConflict):
        queue.move(Move("begin", now(), ("1.1",)), 0)


def test_a_damaged_record_is_named(queue: Queue, tmp_path: Path) -> None:
    queue.submit([fact("a")])
    apply_next(queue, 1, judge)
    for name in ("queues", "releases"):
        file = tmp_path / f"{name}/current/00000001.json"
        kept = file.read_bytes()
        file.write_text('{"value": {"at": 3}}')
        with pytest.raises(DamagedRecord, match=f"^{file} is damaged; restore it"):
            statuses(queue.entries(), queue.standing())
        file.write_bytes(kept)
    assert [replace(e.request, request_id="a") for e in queue.entries()] == [fact("a")]
