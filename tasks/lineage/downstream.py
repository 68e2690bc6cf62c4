"""Evaluations and releases that depend on a fact, a document or an artifact, or ask about it."""

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


class DependentEvaluation(TypedDict):
    """A measurement of a state. `stage` and `run` are those of its latest use; `run` is empty if it has none.

    `edited`: the state was made from the source. `asked`: the measurement asks about the source itself.
    """

    stage: str
    run: str
    artifact: str
    kind: str
    state: str | None
    edited: bool
    asked: bool


class DependentRelease(TypedDict):
    """A release of a state that was made from the source. `stands`: it is the current release."""

    name: str
    release: int
    at: str
    state: str
    stands: bool


@dataclass(frozen=True)
class Results:
    """What depends on a source. `names` are those of specs whose latest model was made from it."""

    source: Source
    evaluations: Sequence[DependentEvaluation]
    releases: Sequence[DependentRelease]
    names: Sequence[str]
    states: int


def results(lake: Lake, source: Source) -> Results:
    """The results that depend on a source. Cost: a walk down, the records of its runs, and the logs of all releases."""
    found = dependants(lake, source)
    kinds = {id_: kind for id_, kind, _ in found.impact.artifacts}
    states = {id_ for id_, kind in kinds.items() if kind == "state"}
    measured = (lake.manifest(id_) for id_, kind in kinds.items() if kind in MEASURES)
    measures = sorted(measured, key=lambda made: made.created_at)
    latest = _latest_uses(found.runs)
    return Results(
        source,
        [_evaluation(lake, source, made, states, *latest.get(made.id, ("", made.kind))) for made in measures],
        [row for name in Refs(lake.files, "releases").names() for row in _releases(lake, name, states)],
        found.names,
        len(states),
    )


def _evaluation(
    lake: Lake, source: Source, made: Manifest, states: set[str], run: str, stage: str
) -> DependentEvaluation:
    state = _measured_state(lake, made)
    return {
        "stage": stage, "run": run, "artifact": made.id, "kind": made.kind, "state": state, "edited": state in states,
        "asked": not set(parents_in(made.parents, "requests")).isdisjoint(source.holders),
    }  # fmt: skip


def _measured_state(lake: Lake, made: Manifest) -> str | None:
    """A parent state of the measurement, or of the texts or hidden states that it measures."""
    roles = ("edited", "generations")
    candidates = [made, *(lake.manifest(id_) for role in roles for id_ in parents_in(made.parents, role))]
    return next((id_ for manifest in candidates for id_ in parents_in(manifest.parents, "state")), None)


def _latest_uses(runs: Sequence[RunRecord]) -> dict[str, tuple[str, str]]:
    """{artifact: (run, stage) of its latest use}."""
    ordered = sorted(runs, key=lambda record: record.started_at)
    return {use.artifact: (record.run_id, use.stage) for record in ordered for use in record.uses}


def _releases(lake: Lake, name: str, states: set[str]) -> Iterator[DependentRelease]:
    history = list(Queue(lake.files, name).replay())
    now = history[-1][1].release
    for move, current in history:
        if move is not None and move.move == "settle" and move.status == "applied" and move.state in states:
            yield {
                "name": name, "release": current.release, "at": move.at, "state": move.state,
                "stands": current.release == now,
            }  # fmt: skip
