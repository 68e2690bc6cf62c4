"""editflow diff"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, TypedDict

from cyclopts import Parameter

from editflow.flows.cli.commands.scores import format_intervals, to_json
from editflow.flows.cli.common.flags import JsonFlag, LakeFlag, RunName
from editflow.flows.cli.common.lookup import find_release, find_run, open_lake
from editflow.flows.console.errors import UsageError
from editflow.flows.console.next_steps import print_next, shell_command
from editflow.flows.console.output import print_json, print_table, print_text
from editflow.flows.orchestration.prefect_environment import check_working_folder
from editflow.storage.errors import StorageError
from editflow.storage.records.renamed_keys import with_new_names
from editflow.tasks.errors import NothingToCompare, NothingToReport

if TYPE_CHECKING:
    from editflow.editing.metrics.intervals import Interval
    from editflow.storage.artifacts.store import Lake
    from editflow.tasks.releases.queue import ReleaseState
    from editflow.tasks.report.table_rows import Paired
    from editflow.tasks.reproduction.model_diff import ChangedFact, ChangedSetting, ChangedStage, Side

Name = Annotated[
    RunName,
    Parameter(
        help="A run's id or a unique prefix of it, a spec's name, `last`, a release's name, or NAME@N for release N."
    ),
]
MAX_ROWS = 20


class ComparedValues(TypedDict):
    """Two values of whole runs, which have no cases and so no intervals."""

    metric: str
    one: Interval
    other: Interval
    difference: Interval


@dataclass(frozen=True)
class Difference:
    """The differences of two sides.

    `one` and `other` have name, state (None: the base model) and run (which made the state). `batches` counts those
    that both share, and all batches of each. `unpaired` is the reason why there are no metrics.
    """

    one: dict[str, str | None]
    other: dict[str, str | None]
    spec: list[ChangedSetting]
    environment: list[ChangedSetting]
    inputs: list[ChangedSetting]
    stages: list[ChangedStage]
    batches: dict[str, int]
    facts: list[ChangedFact]
    metrics: list[Paired | ComparedValues]
    unpaired: str


def diff(one: Name, other: Name, /, *, lake: LakeFlag = None, json: JsonFlag = False) -> None:
    """Compare two edited models: settings, environment, inputs, the first stage that differs, facts, metrics.

    Metrics are compared case by case, as by `editflow scores --against`, if both runs measured the same facts.
    """
    store = open_lake(lake)
    found = _difference(store, _side(store, one), _side(store, other))
    if json:
        print_json(vars(found) | {"metrics": [to_json(row) for row in found.metrics]})
        return
    for title, rows in (
        ("settings", found.spec), ("environment", found.environment), ("inputs", found.inputs),
        ("stages", _group(found.stages)), ("facts", found.facts),
        ("metrics, other − one", [{**row, **format_intervals(row)} for row in found.metrics]),
    ):  # fmt: skip
        if rows:
            more = f", the first {MAX_ROWS} of {len(rows)}" if len(rows) > MAX_ROWS else ""
            print_table(rows[:MAX_ROWS], title=f"{title}{more}")
    print_text("")
    print_text(_summary(found))
    print_next(f"{shell_command('diff', one, other, '--json', lake=lake)} for all differences as JSON")


def _side(store: Lake, name: str) -> Side:
    """The run or release of a name. Raises UsageError."""
    check_working_folder()
    from editflow.tasks.reproduction.model_diff import Side

    queue, at, number = name.rpartition("@")
    release = find_release(store, queue if at else name)
    if release is None:
        record = find_run(store, name, edited=True)
        if record.state is None:
            raise UsageError(f"run {record.run_id} is {record.status} and has no edited model: choose a completed one")
        return Side(record.run_id, record.state, record)
    if at:
        release = _numbered_release(store, queue, number)
    label = f"{queue if at else name}@{release.release}"
    run = store.manifest(release.state).created_by if release.state else None
    return Side(label, release.state, find_run(store, run) if run else None, release.measures)


def _numbered_release(store: Lake, queue: str, number: str) -> ReleaseState:
    from editflow.tasks.releases.queue import Queue

    releases = {str(state.release): state for _, state in Queue(store.files, queue).replay()}
    if number not in releases:
        raise UsageError(f"{queue} has no release {number!r}: `editflow releases {queue}` lists them, 0 is none")
    return releases[number]


def _difference(store: Lake, one: Side, other: Side) -> Difference:
    from editflow.tasks.reproduction.model_diff import facts, settings, shared_batches, stages

    first, second = one.record, other.record
    shared, batches, other_batches = shared_batches(store, one, other)
    metrics, unpaired = _metrics(store, one, other)
    # Runs of a queue name their stages after its entries, so their stages cannot be compared.
    of_queue = any(record is not None and "settled" in record.summary for record in (first, second))
    return Difference(
        one=_side_row(one),
        other=_side_row(other),
        spec=settings(*map(with_new_names, (first.spec, second.spec))) if first and second else [],
        environment=settings(first.environment, second.environment) if first and second else [],
        inputs=_inputs(store, one, other),
        stages=stages(store, first, second) if first and second and not of_queue else [],
        batches={"shared": shared, "one": batches, "other": other_batches},
        facts=facts(store, one, other),
        metrics=metrics,
        unpaired=unpaired,
    )


def _inputs(store: Lake, one: Side, other: Side) -> list[ChangedSetting]:
    """The differences of the base models."""
    from editflow.tasks.reproduction.model_diff import model_of, settings

    first, second = (model_of(store, side) for side in (one, other))
    if first is None or second is None or first.id == second.id:
        return []
    changed = settings(dict(first.about), dict(second.about)) + settings(dict(first.spec), dict(second.spec))
    return [row | {"key": f"model {row['key']}"} for row in changed]


def _metrics(store: Lake, one: Side, other: Side) -> tuple[list[Paired | ComparedValues], str]:
    """(the compared metrics, the reason if there are none)."""
    from editflow.tasks.report.paired_metrics import paired
    from editflow.tasks.report.run_results import RunResults

    if gates := [gate for gate in one.measures if gate in other.measures]:
        return [_compare_values(f"gate {gate}", one.measures[gate], other.measures[gate]) for gate in gates], ""
    if one.record is None or other.record is None:
        return [], "no run measured the base model"
    if one.record.run_id == other.record.run_id:
        return [], "both are of one run"
    records = (one.record, other.record)
    try:
        rows: list[Paired | ComparedValues] = [*paired(*(RunResults.load(store, record.run_id) for record in records))]
    except (NothingToCompare, NothingToReport, StorageError) as error:
        return [], str(error)
    first, second = (record.summary["after"].get("perplexity") for record in records)
    if first is not None and second is not None:
        rows.append(_compare_values("perplexity", first, second))
    return rows, ""


def _compare_values(metric: str, one: float, other: float) -> ComparedValues:
    from editflow.editing.metrics.intervals import mean_interval

    return {
        "metric": metric,
        "one": mean_interval([one]),
        "other": mean_interval([other]),
        "difference": mean_interval([other - one]),
    }


def _side_row(side: Side) -> dict[str, str | None]:
    return {"name": side.label, "state": side.state, "run": side.record.run_id if side.record else None}


def _group(stages: list[ChangedStage]) -> list[dict[str, str | int]]:
    """The stages that differ by more than their inputs, grouped by cause and by name without numbers; ids are short."""
    from editflow.tasks.reproduction.model_diff import INPUTS

    groups: dict[tuple[str, str], list[ChangedStage]] = {}
    for row in stages:
        if row["cause"] != INPUTS:
            groups.setdefault((re.sub(r"[\d.]+", "#", row["stage"]), row["cause"]), []).append(row)
    return [
        {
            "stage": rows[0]["stage"],
            "alike": len(rows),
            "one": (rows[0]["one"] or "")[:12],
            "other": (rows[0]["other"] or "")[:12],
            "cause": cause,
        }
        for (_, cause), rows in groups.items()
    ]


def _summary(found: Difference) -> str:
    from editflow.tasks.reproduction.model_diff import INPUTS

    if found.one["state"] == found.other["state"]:
        return "the two are the same edited model, bit for bit"
    batches = found.batches
    parts = [f"the first {batches['shared']} of {batches['one']} and {batches['other']} batches are the same"]
    if found.stages:
        follow = sum(row["cause"] == INPUTS for row in found.stages)
        parts.append(f"first stage that differs: {found.stages[0]['stage']}; {follow} differ only by their inputs")
    changes = {what: sum(row["what"] == what for row in found.facts) for what in ("gained", "lost", "changed")}
    parts.append("facts: " + ", ".join(f"{number} {what}" for what, number in changes.items()))
    if found.unpaired:
        parts.append(f"no metrics: {found.unpaired}")
    return "; ".join(parts)
