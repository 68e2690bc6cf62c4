"""Rows of the before-and-after table for generated texts, general ability and drift."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from statistics import fmean
from typing import TypedDict

import numpy as np

from editflow.editing.metrics.ability.confusion import accuracy, interval, mcc, paired_interval, unanswered, weighted_f1
from editflow.editing.metrics.intervals import Interval, mean_interval
from editflow.storage.artifacts.manifest import Manifest
from editflow.tasks.report.run_results import RunResults
from editflow.tasks.report.table_rows import BeforeAfter
from editflow.tasks.stages.drift import read_drift

Cases = dict[str, float]
SHARE_PREFIX = "free "
"""The prefix of text metrics in percent. The others have their own units."""


STATISTICS = {
    "accuracy": (accuracy, "%"), "weighted F1": (weighted_f1, "%"), "MCC": (mcc, ""), "no answer": (unanswered, "%"),
}  # fmt: skip
"""The scores of general ability, with their units."""
DRIFT = {
    "relative_mean_shift": "%", "frechet_distance": "", "hausdorff_distance": "", "overlap_x": "%", "overlap_y": "%",
    "share_inside": "%",
}  # fmt: skip
"""The reported scores of drift, with their units. The artifact and SQL have the others."""


class AbilityAnswer(TypedDict):
    """A row of the kind `ability`: the option that a model chose, None for no answer, and the correct `label`."""

    set: str
    way: str
    case_id: str
    label: str
    predicted: str | None


def other_metric_rows(run: RunResults) -> list[BeforeAfter]:
    """One row per metric, over the cases that have it before and after."""
    return [*_text_rows(run), *_ability_rows(run), *_drift_rows(run)]


def final_cases(run: RunResults) -> dict[str, Cases]:
    """{metric with its unit: {case: value}} after the last batch, for texts and general ability."""
    texts = {f"{name} %" if SHARE_PREFIX in name else name: states[1] for name, states in _texts(run).items()}
    ability = {
        f"{name} accuracy, by {way} %": {
            case: 100.0 * (s[1]["predicted"] == s[1]["label"]) for case, s in answers.items() if 1 in s
        }
        for (name, way), answers in _answers(run).items()
    }
    return texts | ability


def available_metrics(run: RunResults) -> set[str]:
    """The metrics that were measured, by their names in `requested_metrics`."""
    return {*run.metrics, *_texts(run), *(("drift",) if run.of_kind("drift") else ())}


def cases_row(name: str, unit: str, before: Cases, after: Cases) -> Iterator[BeforeAfter]:
    """The row of a score over the cases that have it before and after, if there are any."""
    both = [case for case in before if case in after]
    if both:
        first, last = ([cases[case] for case in both] for cases in (before, after))
        change = mean_interval([b - a for a, b in zip(first, last, strict=True)])
        yield {"metric": name, "unit": unit, "before": mean_interval(first), "after": mean_interval(last),
               "change": change}  # fmt: skip


def _text_rows(run: RunResults) -> Iterator[BeforeAfter]:
    for name, states in _texts(run).items():
        yield from cases_row(name, "%" if SHARE_PREFIX in name else "", states[0], states[1])


def _texts(run: RunResults) -> dict[str, dict[int, Cases]]:
    """{metric: {0 before, 1 after: {request: mean over its texts}}}."""
    values: dict[str, dict[int, dict[str, list[float]]]] = {}
    for manifest in run.of_kind("text_scores"):
        of_state = run.parent_of(manifest, "generations") if "generations" in manifest.parents else manifest
        end = _end(run, of_state)
        if end is None:
            continue
        for row in run.lake.read(manifest.id).to_pylist():
            is_share = row["metric"].startswith(SHARE_PREFIX)
            name = f"{row['role']} {row['metric']}" if is_share else row["metric"]
            if row["value"] is not None:
                states = values.setdefault(name, {0: {}, 1: {}})
                states[end].setdefault(row["request"], []).append(row["value"] * (100 if is_share else 1))
    return {
        name: {n: {case: fmean(found) for case, found in cases.items()} for n, cases in states.items()}
        for name, states in values.items()
    }


def _ability_rows(run: RunResults) -> Iterator[BeforeAfter]:
    """A statistic without a value is omitted, for example MCC if all labels of a set are equal."""
    for (name, way), answers in _answers(run).items():
        joint = _joint_counts(answers)
        for shown, (statistic, unit) in STATISTICS.items():
            ends = [interval(joint.sum(axis), statistic) for axis in (2, 1)]
            values = [*ends, paired_interval(joint, statistic)]
            if None not in values:
                before, after, change = (_in_unit(unit, value) for value in values if value is not None)
                yield {"metric": f"{name} {shown}, by {way}", "unit": unit, "before": before, "after": after,
                       "change": change}  # fmt: skip


def _drift_rows(run: RunResults) -> Iterator[BeforeAfter]:
    """Drift of the highest edited layer, which all changes reach. Before the edits, base and edited model are equal."""
    for manifest in run.of_kind("drift"):
        edited = run.parent_of(manifest, "edited")
        if _end(run, edited) == 1:
            layer, values = max(read_drift(run.lake, manifest.id).items())
            for name, unit in DRIFT.items():
                start = {"share_inside": values["base_share_inside"]}.get(name, float(name.startswith("overlap")))
                ends = [_in_unit(unit, Interval(value, None, None)) for value in (start, values[name])]
                change = Interval(ends[1].value - ends[0].value, None, None)
                yield {"metric": f"drift of layer {layer}, {name.replace('_', ' ')}", "unit": unit,
                       "before": ends[0], "after": ends[1], "change": change}  # fmt: skip


def _answers(run: RunResults) -> dict[tuple[str, str], dict[str, dict[int, AbilityAnswer]]]:
    """{(set, way): {question: {0 before, 1 after: row}}}."""
    answers: dict[tuple[str, str], dict[str, dict[int, AbilityAnswer]]] = {}
    for manifest in run.of_kind("ability"):
        end = _end(run, manifest)
        if end is None:
            continue
        for row in run.lake.read(manifest.id).to_pylist():
            case = answers.setdefault((row["set"], row["way"]), {}).setdefault(row["case_id"], {})
            case[end] = row
    return answers


def _joint_counts(answers: Mapping[str, Mapping[int, AbilityAnswer]]) -> np.ndarray:
    """Numbers of questions (K, K + 1, K + 1) by label, answer before and answer after. The last answer is none."""
    both = [states for states in answers.values() if len(states) == 2]
    options = {option for states in both for row in states.values() for option in (row["label"], row["predicted"])}
    place = {option: n for n, option in enumerate(sorted(o for o in options if o is not None))}
    table = np.zeros((len(place), len(place) + 1, len(place) + 1))
    for states in both:
        chosen = (states[n]["predicted"] for n in (0, 1))
        first, last = (len(place) if option is None else place[option] for option in chosen)
        table[place[states[0]["label"]], first, last] += 1
    return table


def _in_unit(unit: str, value: Interval) -> Interval:
    return Interval(*(None if bound is None else 100 * bound for bound in value)) if unit else value  # type: ignore[arg-type]


def _end(run: RunResults, manifest: Manifest) -> int | None:
    """0 for an artifact of the base model, 1 of the last state, None of a state between them."""
    return {0: 0, run.last: 1}.get(run.state_number(manifest))
