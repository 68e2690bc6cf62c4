"""Withdrawing a fact or a document recomputes exactly the artifacts that the preview names."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from support import tiny_world
from support.tiny_world import World, editflow

from editflow.editing.requests.record import EditRequest
from editflow.flows.pipeline.facts import split_batches
from editflow.flows.spec.loading import load_spec
from editflow.flows.spec.sections import RequestsSection
from editflow.storage.artifacts.store import Lake
from editflow.storage.records.refs import Refs
from editflow.storage.records.runs import RunRecord, Runs
from editflow.tasks.errors import BadRecord
from editflow.tasks.stages.requests import read_requests


@dataclass(frozen=True)
class Made:
    """A finished run of three batches of two facts, and another run of other facts in the same lake."""

    world: World
    lake: Path
    record: RunRecord

    @property
    def uses(self) -> dict[str, str]:
        return {use.stage: use.artifact for use in self.record.uses}

    def facts(self, stage: str) -> list[EditRequest]:
        return read_requests(Lake.open(self.lake), self.uses[stage])


@pytest.fixture(scope="module")
def made(world: World, tmp_path_factory: pytest.TempPathFactory) -> Made:
    lake = tmp_path_factory.mktemp("withdrawn") / "lake"
    record = tiny_world.record_directly(world.spec, lake)
    other = tiny_world.record_directly(world.spec, lake, "name=other", "requests.count=2", "requests.exclude_probes=3")
    for run in (record, other):
        Refs(Lake.open(lake).files).set(run.name, run.state, 0)
    return Made(world, lake, record)


@pytest.fixture
def changed(made: Made, tmp_path: Path) -> Made:
    """The same with a copy of the lake that a test may change."""
    return Made(made.world, Path(shutil.copytree(made.lake, tmp_path / "lake")), made.record)


def redone(made: Made, what: str) -> tuple[set[str], RunRecord]:
    """Withdraw and redo; returns the artifacts that the preview names and the repeated run."""
    preview = editflow("impact", "--withdraw", what, "--lake", made.lake, "--json")
    assert preview.code == 0, preview.err
    done = editflow("impact", "--withdraw", what, "--redo", "--lake", made.lake, "--json")
    assert done.code == 0, done.err
    known = Runs(Lake.open(made.lake).files)
    (again,) = (record for record in map(known.get, (row["run"] for row in done.json)) if record.name == "tiny")
    assert sorted(row["name"] for row in done.json) == preview.json["names"]
    return set(preview.json["artifacts"]), again


def test_a_fact_of_the_second_batch(changed: Made, server: str) -> None:
    fact = changed.facts("rewrites 2")[0]
    named, again = redone(changed, fact.request_id)
    before, after = set(changed.uses.values()), {use.artifact for use in again.uses}
    assert named == before - after  # exactly the artifacts that are no longer used, and none of the other run
    new = {use.stage for use in again.uses if use.how == "created"}
    assert {"state 2", "state 3", "weight change 3", "requests"} <= new
    assert new.isdisjoint({"state 1", "weight change 1", "rewrites 1", "rewrites 3", "second moment", "contexts"})
    lake = Lake.open(changed.lake)
    left = [f.request_id for use in again.uses if use.stage == "requests" for f in read_requests(lake, use.artifact)]
    assert left == [f.request_id for f in changed.facts("requests") if f.request_id != fact.request_id]
    # It stays withdrawn: no name leads to it, and there is nothing left to redo.
    once_more = editflow("impact", "--withdraw", fact.request_id, "--lake", changed.lake, "--json")
    assert once_more.json["names"] == []
    nothing = editflow("impact", "--withdraw", fact.request_id, "--redo", "--lake", changed.lake)
    assert (nothing.code, nothing.out) == (2, "")


@pytest.mark.exhaustive
def test_a_document_of_the_first_partition(changed: Made, server: str) -> None:
    lake = Lake.open(changed.lake)
    document = lake.read(changed.uses["tokens 1"])["document"][0].as_py()
    named, again = redone(changed, f"document:{document}")
    after = {use.stage: use for use in again.uses}
    # The artifacts of the other run are named too, because it uses the same text.
    assert set(changed.uses.values()) - {use.artifact for use in again.uses} <= named
    created = {stage for stage, use in after.items() if use.how == "created"}
    assert {"tokens 1", "second moment 1", "second moment", "null space of layer 0", "state 1"} <= created
    assert created.isdisjoint({"documents", "tokens 2", "second moment 2", "contexts", "evaluation before"})
    assert document not in lake.read(after["tokens 1"].artifact)["document"].to_pylist()


def test_the_preview_names_artifacts_runs_and_the_next_command(made: Made) -> None:
    fact = made.facts("rewrites 3")[1]
    preview = editflow("impact", "--withdraw", fact.request_id, "--lake", made.lake)
    assert preview.code == 0
    assert "--redo" in preview.err
    assert made.record.run_id in preview.out
    assert "weight_change" in preview.out
    batch = editflow("impact", "--withdraw", made.uses["rewrites 3"], "--lake", made.lake, "--json")
    single = editflow("impact", "--withdraw", fact.request_id, "--lake", made.lake, "--json")
    assert set(batch.json["artifacts"]) < set(single.json["artifacts"])  # the fact is in the whole set as well


@pytest.mark.parametrize(
    ("what", "fragment"),
    [("", "0 facts"), ("nowhere", "0 facts"), ("request:nowhere", "0 facts"), ("artifact:00ff00", "0 facts")],
)
def test_a_missing_fact_or_document(made: Made, what: str, fragment: str) -> None:
    answer = editflow("impact", "--withdraw", what, "--lake", made.lake)
    assert (answer.code, answer.out) == (2, "")
    assert fragment in answer.err


def test_a_computed_artifact_cannot_be_withdrawn(made: Made) -> None:
    change = made.uses["weight change 1"]
    assert editflow("impact", "--withdraw", change, "--lake", made.lake, "--json").json["artifacts"]
    answer = editflow("impact", "--withdraw", change, "--redo", "--lake", made.lake)
    assert answer.code == 2
    assert "computed from others" in answer.err


def test_withdrawn_facts_leave_gaps_in_their_batches(world: World) -> None:
    """Batches keep their numbers and their other facts; empty batches are skipped."""
    facts = [EditRequest(str(n), "{} is", f"s{n}", "new", "old") for n in range(5)]

    def cut(*withdrawn: str) -> list[tuple[int, list[str]]]:
        wanted = RequestsSection(source="any", withdrawn=list(withdrawn))
        return [(number, [fact.request_id for fact in batch]) for number, batch in split_batches(facts, 2, wanted)]

    assert cut() == [(1, ["0", "1"]), (2, ["2", "3"]), (3, ["4"])]
    assert cut("1") == [(1, ["0"]), (2, ["2", "3"]), (3, ["4"])]
    assert cut("2", "3") == [(1, ["0", "1"]), (3, ["4"])]
    with pytest.raises(BadRecord, match="'9' is not among the 5 chosen facts"):
        cut("9")
    with pytest.raises(BadRecord, match="nothing is left"):
        cut("0", "1", "2", "3", "4")


def test_an_unknown_document_cannot_be_withdrawn(world: World, tmp_path: Path) -> None:
    with pytest.raises(BadRecord, match="'no such' is not a sampled document"):
        tiny_world.record_directly(world.spec, tmp_path / "lake", 'corpus.withdrawn=["no such"]')
    assert load_spec(world.spec, ['corpus.withdrawn=["x"]']).corpus.withdrawn == ["x"]
