"""editflow diff"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from editflow.flows.cli.commands.scores import plain, shown
from editflow.flows.cli.common.completers import run_names
from editflow.flows.cli.common.flags import JsonFlag, LakeFlag
from editflow.flows.cli.common.lookup import find_run, open_lake, released
from editflow.flows.console.errors import UsageError
from editflow.flows.console.next_steps import print_next, typed
from editflow.flows.console.output import print_json, print_table, print_text
from editflow.storage.errors import StorageError
from editflow.storage.records.renamed_keys import with_new_names
from editflow.tasks.errors import NothingToCompare, NothingToReport

if TYPE_CHECKING:
    from editflow.storage.artifacts.store import Lake
    from editflow.storage.records.runs import RunRecord
    from editflow.tasks.reproduction.model_diff import ChangedFact, ChangedSetting, ChangedStage, Side

Name = Annotated[str, Parameter(completer=run_names)]
MOST = 20
Row = dict[str, Any]


@dataclass(frozen=True)
class Difference:
    """The differences of two sides; `unpaired` says why there are no metrics."""

    one: Row
    other: Row
    spec: list[ChangedSetting]
    environment: list[ChangedSetting]
    inputs: list[ChangedSetting]
    stages: list[ChangedStage]
    batches: Row
    facts: list[ChangedFact]
    metrics: list[Row]
    unpaired: str


def diff(one: Name, other: Name, /, *, lake: LakeFlag = None, json: JsonFlag = False) -> None:
    """Say where two edited models part: settings, environment, inputs, the first stage that differs, facts, metrics.

    Metrics are compared case by case, as by `editflow scores --against`, where both runs measured the same facts.

    Parameters
    ----------
    one
        A run's id or the start of one, the name of a spec, `last`, a release's name, or NAME@N for its release N.
    other
        Another of these.
    """
    store = open_lake(lake)
    found = _difference(store, _side(store, one), _side(store, other))
    if json:
        print_json(vars(found) | {"metrics": [plain(row) for row in found.metrics]})
        return
    for title, rows in (
        ("settings", found.spec), ("environment", found.environment), ("inputs", found.inputs),
        ("stages", _short(found.stages)),
        ("facts", found.facts), ("metrics, other − one", [row | shown(row) for row in found.metrics]),
    ):  # fmt: skip
        if rows:
            more = f", the first {MOST} of {len(rows)}" if len(rows) > MOST else ""
            print_table(rows[:MOST], title=f"{title}{more}")
    print_text("")
    print_text(_summary(found))
    print_next(f"{typed('diff', one, other, '--json', lake=lake)} for all of it as JSON")


def _side(store: Lake, name: str) -> Side:
    """What a name means; raises UsageError."""
    from editflow.flows.orchestration.prefect_environment import check_working_folder

    check_working_folder()
    from editflow.tasks.reproduction.model_diff import Side

    queue, at, number = name.rpartition("@")
    current = released(store, queue if at else name)
    if current is None:
        record = find_run(store, name, edited=True)
        if record.state is None:
            raise UsageError(f"run {record.run_id} is {record.status} and has no edited model: choose a completed one")
        return Side(record.run_id, record.state, record)
    if at:
        current = _standing(store, queue, number)
    state = current.state
    label = f"{queue if at else name}@{current.release}"
    return Side(label, state, _maker(store, state) if state else None, current.measures)


def _standing(store: Lake, queue: str, number: str) -> Any:
    from editflow.tasks.releases.queue import Queue

    found = {str(s.release): s for _, s in Queue(store.files, queue).replay()}
    if number not in found:
        raise UsageError(f"{queue} has no release {number!r}: `editflow releases {queue}` lists them, 0 is none")
    return found[number]


def _maker(store: Lake, state: str) -> RunRecord | None:
    by = store.manifest(state).created_by
    return find_run(store, by) if by else None


def _difference(store: Lake, one: Side, other: Side) -> Difference:
    from editflow.tasks.reproduction.model_diff import facts, settings, shared_batches, stages

    first, second = one.record, other.record
    same, ours, theirs = shared_batches(store, one, other)
    metrics, unpaired = _metrics(store, one, other)
    plain_runs = first is not None and second is not None and not _applied(first) and not _applied(second)
    return Difference(
        one=_told(one),
        other=_told(other),
        spec=settings(*map(with_new_names, (first.spec, second.spec))) if first and second else [],
        environment=settings(first.environment, second.environment) if first and second else [],
        inputs=_inputs(store, one, other),
        # Runs of a queue call their stages by its entries: there is nothing to set side by side.
        stages=stages(store, first, second) if plain_runs and first and second else [],
        batches={"shared": same, "one": ours, "other": theirs},
        facts=facts(store, one, other),
        metrics=metrics,
        unpaired=unpaired,
    )


def _applied(record: RunRecord) -> bool:
    return "settled" in record.summary


def _inputs(store: Lake, one: Side, other: Side) -> list[ChangedSetting]:
    from editflow.tasks.reproduction.model_diff import model_of, settings

    first, second = (model_of(store, side) for side in (one, other))
    if first is None or second is None or first.id == second.id:
        return []
    parted = settings(dict(first.about), dict(second.about)) + settings(dict(first.spec), dict(second.spec))
    return [row | {"key": f"model {row['key']}"} for row in parted]


def _metrics(store: Lake, one: Side, other: Side) -> tuple[list[Row], str]:
    from editflow.tasks.report.paired_metrics import paired
    from editflow.tasks.report.run_results import RunResults

    if both := [gate for gate in one.measures if gate in other.measures]:
        return [_figures(f"gate {gate}", one.measures[gate], other.measures[gate]) for gate in both], ""
    if one.record is None or other.record is None:
        return [], "no run measured the base model"
    if one.record.run_id == other.record.run_id:
        return [], "both are of one run"
    try:
        rows: list[Row] = list(
            map(dict, paired(*(RunResults.of(store, side.record.run_id) for side in (one, other) if side.record)))
        )
    except (NothingToCompare, NothingToReport, StorageError) as error:
        return [], str(error)
    first, second = (side.record.summary["after"].get("perplexity") for side in (one, other) if side.record)
    if first is not None and second is not None:
        rows.append(_figures("perplexity", first, second))
    return rows, ""


def _figures(metric: str, one: float, other: float) -> Row:
    """A score of each as a whole, without cases to pair."""
    from editflow.editing.metrics.intervals import mean_interval

    figures = {"one": one, "other": other, "difference": other - one}
    return {"metric": metric, **{name: mean_interval([value]) for name, value in figures.items()}}


def _told(side: Side) -> Row:
    return {"name": side.label, "state": side.state, "run": side.record.run_id if side.record else None}


def _short(stages: list[ChangedStage]) -> list[Row]:
    """The stages where the runs part, with short ids, the first of those that are alike but for a number; those that
    merely follow are counted by the summary."""
    from editflow.tasks.reproduction.model_diff import INPUTS

    alike: dict[tuple[str, str], list[ChangedStage]] = {}
    for row in stages:
        if row["cause"] != INPUTS:
            alike.setdefault((re.sub(r"[\d.]+", "#", row["stage"]), row["cause"]), []).append(row)
    return [
        {
            "stage": rows[0]["stage"],
            "alike": len(rows),
            "one": (rows[0]["one"] or "")[:12],
            "other": (rows[0]["other"] or "")[:12],
            "cause": why,
        }
        for (_, why), rows in alike.items()
    ]


def _summary(found: Difference) -> str:
    from editflow.tasks.reproduction.model_diff import INPUTS

    if found.one["state"] == found.other["state"]:
        return "the two are the same edited model, bit for bit"
    batches = found.batches
    parts = [f"the first {batches['shared']} of {batches['one']} and {batches['other']} batches are the same"]
    if found.stages:
        follow = sum(row["cause"] == INPUTS for row in found.stages)
        parts.append(
            f"first stage that differs: {found.stages[0]['stage']}; {follow} differ only by what they are made of"
        )
    kinds = {what: sum(row["what"] == what for row in found.facts) for what in ("gained", "lost", "changed")}
    parts.append("facts: " + ", ".join(f"{number} {what}" for what, number in kinds.items()))
    if found.unpaired:
        parts.append(f"no metrics: {found.unpaired}")
    return "; ".join(parts)
