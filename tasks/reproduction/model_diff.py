"""The difference of two edited models: settings, inputs, the first stage that differs, facts gained and lost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict

from editflow.storage.artifacts.store import Lake, Manifest
from editflow.storage.records.runs import RunRecord
from editflow.tasks.models.model_session import state_chain

Fact = tuple[str, str]
"""(prompt with its subject in place, what is to follow)."""
SETTINGS, VERSION, INPUTS = "settings", "version", "inputs"


class ChangedSetting(TypedDict):
    """A dotted key whose values differ; None if a side does not have it."""

    key: str
    one: Any
    other: Any


class ChangedStage(TypedDict):
    """A stage whose artifacts differ, by their ids; None if a run does not have it."""

    stage: str
    one: str | None
    other: str | None
    cause: str


class ChangedFact(TypedDict):
    """A prompt that two states were edited to continue differently; None if a side was not edited there."""

    fact: str
    one: str | None
    other: str | None
    what: Literal["gained", "lost", "changed"]


@dataclass(frozen=True)
class Side:
    """One of the two: what it was called, its state (None: the base model), the run that made that, and what the
    gates measured of a release."""

    label: str
    state: str | None
    record: RunRecord | None = None
    measures: Mapping[str, float] = field(default_factory=dict)


def settings(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[ChangedSetting]:
    """{key, one, other} for every dotted key whose values differ; None if a side does not have it."""
    first, second = dict(_flat(one)), dict(_flat(other))
    return [
        {"key": key, "one": first.get(key), "other": second.get(key)}
        for key in dict.fromkeys([*first, *second])
        if first.get(key) != second.get(key)
    ]


def stages(lake: Lake, one: RunRecord, other: RunRecord) -> list[ChangedStage]:
    """The stages of two runs that differ, in the first run's order, each with its cause; see `cause`.

    Those whose settings or version differ are where the runs part; of the others only the inputs do, and they follow.
    A stage of only one run has None as the other's id.
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
    """Why two artifacts of one stage are not the same one: version, settings, or only what they were made from."""
    if one is None or other is None:
        return "no longer in the lake"
    if one.version != other.version or one.kind != other.kind:
        return f"{VERSION}: {one.kind} {one.version}, {other.kind} {other.version}"
    parted = settings(one.spec, other.spec)
    if parted:
        return f"{SETTINGS}: " + ", ".join(f"{row['key']} {row['one']!r}, {row['other']!r}" for row in parted)
    return INPUTS


def shared_batches(lake: Lake, one: Side, other: Side) -> tuple[int, int, int]:
    """(batches that both states have in common from the start, batches of one, batches of the other)."""
    first, second = (_chain(lake, side.state) for side in (one, other))
    same = next(
        (n for n, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), min(len(first), len(second))
    )
    return max(0, same - 1), max(0, len(first) - 1), max(0, len(second) - 1)


def facts(lake: Lake, one: Side, other: Side) -> list[ChangedFact]:
    """{fact, one, other, what} of the prompts that the two states were edited to continue differently.

    `what` is gained (only the other holds it), lost (only the first does) or changed. Of a prompt that was edited more
    than once the last edit counts.
    """
    first, second = (dict(_held(lake, side.state)) for side in (one, other))
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
    """The model that a side's state began from."""
    return state_chain(lake, side.state)[0] if side.state else None


def _chain(lake: Lake, state: str | None) -> list[str]:
    return [link.id for link in state_chain(lake, state)] if state else []


def _held(lake: Lake, state: str | None) -> Iterator[Fact]:
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
