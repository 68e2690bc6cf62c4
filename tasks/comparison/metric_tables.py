"""The tables of a comparison: the main table after AlphaEdit's Table 1, every score, and paired differences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import inf, isclose
from statistics import fmean
from typing import NamedTuple

from editflow.editing.metrics.intervals import ROUNDING, Interval, runs_interval
from editflow.editing.metrics.registry import METRICS
from editflow.editing.metrics.score_columns import SCORED, harmonic
from editflow.tasks.comparison.comparison_rows import ComparisonRow, Group
from editflow.tasks.report.other_metrics import other_metric_rows
from editflow.tasks.report.paired_metrics import paired_row, pairs
from editflow.tasks.report.report_tables import before_after, perplexity_by_batch
from editflow.tasks.report.run_results import RunResults
from editflow.tasks.report.table_rows import Paired

PAPER_NAMES = {"paraphrase": "paraphrase (generalization)", "neighbourhood": "neighbourhood (specificity)"}
"""Headings with the AlphaEdit paper's names of metrics, where they differ from ours."""
SCORE, PERPLEXITY = "score harmonic", "held-out perplexity"


class Cell(NamedTuple):
    """A score of a row, before all edits and after the last batch."""

    unit: str
    before: Interval
    after: Interval


class PairedOverSeeds(Paired):
    """A paired score, of means over the seeds that both rows completed."""

    seeds: int


class DifferenceRow(PairedOverSeeds):
    """A score of the row `label` compared with the row `against`."""

    label: str
    against: str


class ComparedColumn(NamedTuple):
    """A column of the main table."""

    score: str
    heading: str


class RunScore(NamedTuple):
    """A score of one run, before all edits and after the last batch, without intervals."""

    unit: str
    before: float
    after: float


def score_cells(row: ComparisonRow) -> dict[str, Cell]:
    """{score: cell} of a row. Intervals are bootstrapped over cases for one run, and Student's over several runs."""
    if len(row.results) == 1:
        return {each["metric"]: Cell(each["unit"], each["before"], each["after"])
                for each in before_after(row.first_results)}  # fmt: skip
    runs = [run_scores(results) for results in row.results.values()]
    shared = [name for name in runs[0] if all(name in run for run in runs)]
    return {name: mean_over_runs(name, [run[name] for run in runs]) for name in shared}


def mean_over_runs(name: str, scores: Sequence[RunScore]) -> Cell:
    """The mean of a score over runs, with Student's interval."""
    unit = scores[0].unit
    bounds = _bounds(name) if unit == "%" else None
    before = runs_interval([score.before for score in scores], bounds)
    after = runs_interval([score.after for score in scores], bounds)
    return Cell(unit, before, after)


def _bounds(name: str) -> tuple[float, float]:
    """The possible range of a score in percent."""
    if "magnitude" in name:
        return (-100.0, 100.0)
    return (0.0, inf) if "shift" in name else (0.0, 100.0)


def run_scores(run: RunResults) -> dict[str, RunScore]:
    """The scores of a run by name, as in `before_after` but without intervals."""
    found: dict[str, RunScore] = {}
    ends = (0, run.last)
    for metric in run.metrics:
        for column in run.columns(metric):
            first, last = (run.cases(n, metric, column) for n in ends)
            if both := [case for case in first if case in last]:
                before, after = (100 * fmean(cases[case] for case in both) for cases in (first, last))
                found[f"{metric} {column}"] = RunScore("%", before, after)
    parts = [[run.cases(n, metric, "success") for metric in SCORED] for n in ends]
    if both := [case for case in parts[0][0] if all(case in part for state in parts for part in state)]:
        before, after = (harmonic([100 * fmean(part[case] for case in both) for part in state]) for state in parts)
        found[SCORE] = RunScore("%", before, after)
    perplexities = {row["batch"]: row["perplexity"] for row in perplexity_by_batch(run)}
    if set(ends) <= perplexities.keys():
        found[PERPLEXITY] = RunScore("", perplexities[0], perplexities[run.last])
    return found | {
        row["metric"]: RunScore(row["unit"], row["before"].value, row["after"].value) for row in other_metric_rows(run)
    }


def main_columns(tables: Sequence[Mapping[str, Cell]]) -> list[ComparedColumn]:
    """The measured columns of AlphaEdit's Table 1, then accuracies, the harmonic score and perplexity."""
    known = list(dict.fromkeys(name for table in tables for name in table))
    metrics = [m for m in dict.fromkeys((*SCORED, *METRICS)) if any(name.startswith(f"{m} ") for name in known)]
    main = [next((f"{m} {of}" for of in ("success", "token accuracy") if f"{m} {of}" in known), "") for m in metrics]
    found = [ComparedColumn(score, PAPER_NAMES.get(m, m)) for m, score in zip(metrics, main, strict=True)]
    found += [ComparedColumn(name, name) for name in ("fluency", "consistency")]
    found += [ComparedColumn(f"{metric} accuracy", f"{metric} accuracy") for metric in metrics]
    found += [ComparedColumn(SCORE, "score"), ComparedColumn(PERPLEXITY, "perplexity")]
    return [column for column in found if column.score in known]


def unedited_rows(
    group: Group, tables: Mapping[str, Mapping[str, Cell]], columns: Sequence[ComparedColumn]
) -> list[tuple[str, dict[str, Interval]]]:
    """(name, scores) of the unedited model: one row, or more if variants measured the same column differently.

    The intervals are over cases, because a seed only orders the edits and cannot change the unedited model.
    """
    found: list[tuple[str, dict[str, Interval]]] = []
    seen: list[dict[str, float]] = []
    for row in group.completed:
        cells = tables[row.label]
        scores = {column.score: cells[column.score].before.value for column in columns if column.score in cells}
        if any(one_contains_other(scores, other) for other in seen):
            continue
        seen.append(scores)
        name = "before all edits" if not found else f"before {row.label}"
        found.append((name, {each["metric"]: each["before"] for each in before_after(row.first_results)}))
    return found


def one_contains_other(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    """Whether the common scores are equal within rounding, and one side has no further scores."""
    shared = one.keys() & other.keys()
    return len(shared) == min(len(one), len(other)) and all(
        isclose(one[name], other[name], rel_tol=ROUNDING, abs_tol=ROUNDING) for name in shared
    )


def main_differences(
    rows: Sequence[DifferenceRow], columns: Sequence[ComparedColumn]
) -> tuple[list[str], dict[str, dict[str, DifferenceRow]]]:
    """(headings, {label: {heading: row}}) of the differences in the main table's columns.

    The harmonic score and perplexity have no differences: they are not means over cases.
    """
    headings = {name: column.heading for column in columns for name in (column.score, f"{column.score} %")}
    found: dict[str, dict[str, DifferenceRow]] = {}
    for row in rows:
        if row["metric"] in headings:
            found.setdefault(row["label"], {})[headings[row["metric"]]] = row
    used = {heading for cells in found.values() for heading in cells}
    return [column.heading for column in columns if column.heading in used], found


def differences(group: Group) -> list[DifferenceRow]:
    """Each score of each row but the first, paired with the first row case by case.

    A case is a fact, a text or a question. With several seeds it is the mean over the seeds that both rows completed.
    """
    if not group.completed:
        return []
    first, *others = group.completed
    return [{"label": other.label, "against": first.label, **row} for other in others for row in _paired(first, other)]


def _paired(first: ComparisonRow, other: ComparisonRow) -> Iterator[PairedOverSeeds]:
    seeds = [seed for seed in first.results if seed in other.results]
    found = [pairs(first.results[seed], other.results[seed]) for seed in seeds]
    for score in found[0] if found else ():
        runs = [run[score] for run in found if score in run]
        shared = [case for case in runs[0] if all(case in run for run in runs)]
        means = [(fmean(run[case][0] for run in runs), fmean(run[case][1] for run in runs)) for case in shared]
        if means:
            row = paired_row(score, means)
            yield {**row, "difference": clear_rounding(row["difference"]), "seeds": len(seeds)}


def clear_rounding(interval: Interval) -> Interval:
    """The interval with 0 for values within rounding of 0, which remain when means over seeds cancel."""
    return Interval(*(0.0 if value is not None and abs(value) < ROUNDING else value for value in interval))  # type: ignore[arg-type]
