"""The difference of two edited models: settings, inputs, the first stage that differs, facts gained and lost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict

from editflow.storage.artifacts.store import Lake, Manifest
from editflow.storage.records.runs import RunRecord
from editflow.tasks.models.model_session import state_chain

Fact = tuple[str, str]
"""(prompt with its subject, answer)."""
SETTINGS, VERSION, INPUTS = "settings", "version", "inputs"


class ChangedSetting(TypedDict):
    """A dotted key with different values; None if it is missing."""

    key: str
    one: Any
    other: Any


class ChangedStage(TypedDict):
    """A stage with different artifacts, by id; None if a run does not have the stage."""

    stage: str
    one: str | None
    other: str | None
    cause: str


class ChangedFact(TypedDict):
    """A prompt with different answers in two edited models; None for a model in which it was not edited."""

    fact: str
    one: str | None
    other: str | None
    what: Literal["gained", "lost", "changed"]


@dataclass(frozen=True)
class Side:
    """One of the two models: its name, its state (None: the base model), its run, and a release's gate measurements."""

    label: str
    state: str | None
    record: RunRecord | None = None
    measures: Mapping[str, float] = field(default_factory=dict)


def settings(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[ChangedSetting]:
    """Every dotted key with different values."""
    first, second = dict(_flat(one)), dict(_flat(other))
    return [
        {"key": key, "one": first.get(key), "other": second.get(key)}
        for key in dict.fromkeys([*first, *second])
        if first.get(key) != second.get(key)
    ]


def stages(lake: Lake, one: RunRecord, other: RunRecord) -> list[ChangedStage]:
    """The stages with different artifacts, in the first run's order, each with its cause; see `cause`.

    A cause of settings or version is an origin of the difference. A cause of inputs is only a consequence.
    """
    first, second = ({use.stage: use.artifact for use in record.uses} for record in (one, other))
    rows = list[ChangedStage]()
    for stage in dict.fromkeys([*first, *second]):
        ours, theirs = first.get(stage), second.get(stage)
        if ours != theirs:
            why = cause(lake.find(ours or ""), lake.find(theirs or "")) if ours and theirs else "in one run only"
            rows.append({"stage": stage, "one": ours, "other": theirs, "cause": why})
    return rows


def cause(one: Manifest | None, other: Manifest | None) -> str:
    """Why two artifacts of a stage have different ids: version, settings, or only their inputs."""
    if one is None or other is None:
        return "no longer in the lake"
    if one.version != other.version or one.kind != other.kind:
        return f"{VERSION}: {one.kind} {one.version}, {other.kind} {other.version}"
    changed = settings(one.spec, other.spec)
    if changed:
        return f"{SETTINGS}: " + ", ".join(f"{row['key']} {row['one']!r}, {row['other']!r}" for row in changed)
    return INPUTS


def shared_batches(lake: Lake, one: Side, other: Side) -> tuple[int, int, int]:
    """(number of identical first batches, batches of one, batches of the other)."""
    first, second = (_chain(lake, side.state) for side in (one, other))
    same = next(
        (n for n, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), min(len(first), len(second))
    )
    return max(0, same - 1), max(0, len(first) - 1), max(0, len(second) - 1)


def facts(lake: Lake, one: Side, other: Side) -> list[ChangedFact]:
    """The prompts with different answers in the two models.

    `what` is gained (edited only in the other model), lost (only in the first) or changed. The last edit of a prompt
    counts.
    """
    first, second = (dict(_edited_facts(lake, side.state)) for side in (one, other))
    rows = list[ChangedFact]()
    for prompt in dict.fromkeys([*first, *second]):
        ours, theirs = first.get(prompt), second.get(prompt)
        if ours != theirs:
            what: Literal["gained", "lost", "changed"] = (
                "gained" if ours is None else "lost" if theirs is None else "changed"
            )
            rows.append({"fact": prompt, "one": ours, "other": theirs, "what": what})
    return rows


def model_of(lake: Lake, side: Side) -> Manifest | None:
    """The base model of a state."""
    return state_chain(lake, side.state)[0] if side.state else None


def _chain(lake: Lake, state: str | None) -> list[str]:
    return [link.id for link in state_chain(lake, state)] if state else []


def _edited_facts(lake: Lake, state: str | None) -> Iterator[Fact]:
    for link in state_chain(lake, state)[1:] if state else ():
        columns = ["subject", "prompt", "target_new"]
        for row in lake.read(link.parent("requests"), columns).to_pylist():
            yield row["prompt"].replace("{}", row["subject"], 1), row["target_new"].strip()


def _flat(value: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, item in value.items():
        if isinstance(item, Mapping) and item:
            yield from _flat(item, f"{before}{key}.")
        else:
            yield f"{before}{key}", item
