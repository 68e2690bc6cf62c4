"""Evaluations and releases that contain a fact, a document or an artifact."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypedDict

from editflow.storage.artifacts.identity import parents_in
from editflow.storage.artifacts.store import Lake, Manifest
from editflow.storage.records.refs import Refs
from editflow.storage.records.runs import RunRecord
from editflow.tasks.lineage.impact import Source, dependants
from editflow.tasks.releases.queue import Queue

MEASURES = ("evaluation", "perplexity", "text_scores", "drift", "ability")
"""The kinds that measure a state."""


class MeasuredIn(TypedDict):
    """A measurement: the stage and the latest run that has it, its artifact, and the state that was measured.

    `edited`: whether that state was made from the source. `asked`: whether the measurement evaluates the very fact.
    """

    stage: str
    run: str
    artifact: str
    kind: str
    state: str | None
    edited: bool
    asked: bool


class ReleasedIn(TypedDict):
    """A release; `stands` is true for the current one."""

    name: str
    release: int
    at: str
    state: str
    stands: bool


@dataclass(frozen=True)
class Results:
    """Where a source is: `names` are the specs whose latest model was made from it, `states` how many states were."""

    source: Source
    evaluations: Sequence[MeasuredIn]
    releases: Sequence[ReleasedIn]
    names: Sequence[str]
    states: int


def results(lake: Lake, source: Source) -> Results:
    """Of everything in a lake. Cost: a walk down, the records of their runs, and the logs of all releases."""
    found = dependants(lake, source)
    kinds = {id_: kind for id_, kind, _ in found.impact.artifacts}
    states = {id_ for id_, kind in kinds.items() if kind == "state"}
    measures = sorted(
        (lake.manifest(id_) for id_, kind in kinds.items() if kind in MEASURES), key=lambda made: made.created_at
    )
    latest = _latest(found.runs)
    return Results(
        source,
        [_measure(lake, source, made, states, *latest.get(made.id, ("", made.kind))) for made in measures],
        [row for name in Refs(lake.files, "releases").names() for row in _releases(lake, name, states)],
        found.names,
        len(states),
    )


def _measure(lake: Lake, source: Source, made: Manifest, states: set[str], run: str, stage: str) -> MeasuredIn:
    state = _state(lake, made)
    return {
        "stage": stage, "run": run, "artifact": made.id, "kind": made.kind, "state": state, "edited": state in states,
        "asked": not set(parents_in(made.parents, "requests")).isdisjoint(source.holders),
    }  # fmt: skip


def _state(lake: Lake, made: Manifest) -> str | None:
    """The measured state: a parent, or a parent of the measured texts or hidden states."""
    between = ("edited", "generations")
    near = [made, *(lake.manifest(id_) for role in between for id_ in parents_in(made.parents, role))]
    return next((id_ for manifest in near for id_ in parents_in(manifest.parents, "state")), None)


def _latest(runs: Sequence[RunRecord]) -> dict[str, tuple[str, str]]:
    """{artifact: (run, stage) of its latest use}."""
    ordered = sorted(runs, key=lambda record: record.started_at)
    return {use.artifact: (record.run_id, use.stage) for record in ordered for use in record.uses}


def _releases(lake: Lake, name: str, states: set[str]) -> Iterator[ReleasedIn]:
    history = list(Queue(lake.files, name).replay())
    now = history[-1][1].release
    for move, current in history:
        if move is not None and move.move == "settle" and move.status == "applied" and move.state in states:
            yield {
                "name": name, "release": current.release, "at": move.at, "state": move.state,
                "stands": current.release == now,
            }  # fmt: skip
