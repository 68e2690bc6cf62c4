"""The comparison's tables: the shape of AlphaEdit's Table 1, every score before and after, and paired differences."""

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

PAPER = {"paraphrase": "paraphrase (generalization)", "neighbourhood": "neighbourhood (specificity)"}
"""What the paper calls our metrics."""
SCORE, PERPLEXITY = "score harmonic", "held-out perplexity"


class Cell(NamedTuple):
    """A score of a row: before all edits and after the last batch."""

    unit: str
    before: Interval
    after: Interval


class PairedOverSeeds(Paired):
    """Means over the seeds of both rows."""

    seeds: int


class DifferenceRow(PairedOverSeeds):
    """A score of the row `label` compared with the row `against`."""

    label: str
    against: str


class Column(NamedTuple):
    """A column of the main table: the score's name, and its heading."""

    figure: str
    head: str


def cells(entry: ComparisonRow) -> dict[str, Cell]:
    """{score: cell}. Of one run the intervals are bootstrapped over cases; of several, Student's over runs."""
    if len(entry.results) == 1:
        return {
            row["metric"]: Cell(row["unit"], row["before"], row["after"]) for row in before_after(entry.first_results)
        }
    runs = [values(run_results) for run_results in entry.results.values()]
    shared = [name for name in runs[0] if all(name in run for run in runs)]
    return {name: over_runs(name, [run[name] for run in runs]) for name in shared}


def over_runs(name: str, found: Sequence[tuple[str, float, float]]) -> Cell:
    """A score of several runs, (unit, before, after) each: means with Student's intervals."""
    unit = found[0][0]
    bounds = _bounds(name) if unit == "%" else None
    before, after = (runs_interval(runs, bounds) for runs in ([b for _, b, _ in found], [a for _, _, a in found]))
    return Cell(unit, before, after)


def _bounds(name: str) -> tuple[float, float]:
    """The bounds of a score in percent: nearly all are shares."""
    if "magnitude" in name:
        return (-100.0, 100.0)
    return (0.0, inf) if "shift" in name else (0.0, 100.0)


def values(run_results: RunResults) -> dict[str, tuple[str, float, float]]:
    """{score: (unit, before, after)} of a run: as `before_after`, without intervals."""
    found: dict[str, tuple[str, float, float]] = {}
    ends = (0, run_results.last)
    for metric in run_results.metrics:
        for column in run_results.columns(metric):
            first, last = (run_results.cases(n, metric, column) for n in ends)
            if both := [case for case in first if case in last]:
                before, after = (100 * fmean(cases[case] for case in both) for cases in (first, last))
                found[f"{metric} {column}"] = ("%", before, after)
    parts = [[run_results.cases(n, metric, "success") for metric in SCORED] for n in ends]
    if both := [case for case in parts[0][0] if all(case in part for state in parts for part in state)]:
        before, after = (harmonic([100 * fmean(part[case] for case in both) for part in state]) for state in parts)
        found[SCORE] = ("%", before, after)
    perplexities = {row["batch"]: row["perplexity"] for row in perplexity_by_batch(run_results)}
    if set(ends) <= perplexities.keys():
        found[PERPLEXITY] = ("", perplexities[0], perplexities[run_results.last])
    return found | {
        row["metric"]: (row["unit"], row["before"].value, row["after"].value) for row in other_metric_rows(run_results)
    }


def columns(tables: Sequence[Mapping[str, Cell]]) -> list[Column]:
    """Those of the paper's Table 1 that were measured, then accuracies, the score and perplexity."""
    known = list(dict.fromkeys(name for table in tables for name in table))
    metrics = [m for m in dict.fromkeys((*SCORED, *METRICS)) if any(name.startswith(f"{m} ") for name in known)]
    main = [next((f"{m} {of}" for of in ("success", "token accuracy") if f"{m} {of}" in known), "") for m in metrics]
    found = [Column(figure, PAPER.get(m, m)) for m, figure in zip(metrics, main, strict=True)]
    found += [Column(name, name) for name in ("fluency", "consistency")]
    found += [Column(f"{metric} accuracy", f"{metric} accuracy") for metric in metrics]
    found += [Column(SCORE, "score"), Column(PERPLEXITY, "perplexity")]
    return [column for column in found if column.figure in known]


def row_settings(
    group: Group, tables: Mapping[str, Mapping[str, Cell]], among: Sequence[Column]
) -> list[tuple[str, dict[str, Interval]]]:
    """(name, scores) of the unedited model: once, unless rows measured a column differently.

    The intervals are over cases, since no seed of an order of edits can change the model before all edits.
    """
    found: list[tuple[str, dict[str, Interval]]] = []
    seen: list[dict[str, float]] = []
    for entry in group.completed:
        cells = tables[entry.label]
        now = {column.figure: cells[column.figure].before.value for column in among if column.figure in cells}
        if any(one_in_the_other(now, other) for other in seen):
            continue
        seen.append(now)
        name = "before all edits" if not found else f"before {entry.label}"
        found.append((name, {row["metric"]: row["before"] for row in before_after(entry.first_results)}))
    return found


def one_in_the_other(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    """Whether the common scores are equal, up to the order of summation over seeds, and one of them has no others."""
    shared = one.keys() & other.keys()
    return len(shared) == min(len(one), len(other)) and all(
        isclose(one[name], other[name], rel_tol=ROUNDING, abs_tol=ROUNDING) for name in shared
    )


def shown_differences(
    rows: Sequence[DifferenceRow], among: Sequence[Column]
) -> tuple[list[str], dict[str, dict[str, DifferenceRow]]]:
    """(heads, {label: {head: row}}) of the differences in the main table's scores; score and perplexity have none."""
    heads = {name: column.head for column in among for name in (column.figure, f"{column.figure} %")}
    found: dict[str, dict[str, DifferenceRow]] = {}
    for row in rows:
        if row["metric"] in heads:
            found.setdefault(row["label"], {})[heads[row["metric"]]] = row
    used = {head for cells in found.values() for head in cells}
    return [column.head for column in among if column.head in used], found


def differences(group: Group) -> list[DifferenceRow]:
    """One row per row of the table except the first, and score: paired with the first, case by case.

    A case is a fact, or a text or question; of several seeds it is the mean over those that both rows have.
    """
    if not group.completed:
        return []
    first, *others = group.completed
    return [{"label": entry.label, "against": first.label, **row} for entry in others for row in _paired(first, entry)]


def _paired(first: ComparisonRow, other: ComparisonRow) -> Iterator[PairedOverSeeds]:
    seeds = [seed for seed in first.results if seed in other.results]
    found = [pairs(first.results[seed], other.results[seed]) for seed in seeds]
    for figure in found[0] if found else ():
        runs = [run[figure] for run in found if figure in run]
        shared = [case for case in runs[0] if all(case in run for run in runs)]
        both = [tuple(fmean(run[case][side] for run in runs) for side in (0, 1)) for case in shared]
        if both:
            row = paired_row(figure, [(a, b) for a, b in both])
            yield {**row, "difference": without_dust(row["difference"]), "seeds": len(seeds)}


def without_dust(found: Interval) -> Interval:
    """0 for what is left where thirds of seeds cancel out but for their last bits."""
    return Interval(*(0.0 if bound is not None and abs(bound) < ROUNDING else bound for bound in found))  # type: ignore[arg-type]
