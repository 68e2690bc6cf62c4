"""The rows of a comparison, read from the artifacts of its runs. They contain no ids or times of runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, groupby
from typing import NotRequired, TypedDict

from editflow.storage.artifacts.store import Lake
from editflow.storage.records.runs import RunRecord
from editflow.tasks.comparison.styles import Style, style
from editflow.tasks.report.row_types import RecordedBatch
from editflow.tasks.report.run_results import RunResults
from editflow.tasks.stages.stage import Parents

PARENT_KINDS = (
    "model", "requests", "evaluation", "perplexity", "generations", "text_scores", "hidden_states", "drift",
    "drift_points", "ability", "state", "keys", "spectrum", "null_space",
)  # fmt: skip
"""The artifact kinds that a comparison has as parents."""


class RecordedRun(TypedDict):
    """A run in the recipe of a comparison: with its batches, or with the reason why it failed."""

    seed: int | None
    name: str
    batches: NotRequired[list[RecordedBatch]]
    failed: NotRequired[str]


class RecordedRow(TypedDict):
    """A row in the recipe of a comparison; `group` is a title, `settings` are pairs of key and value."""

    label: str
    name: str
    group: str
    settings: list[list[str]]
    runs: list[RecordedRun]


@dataclass(frozen=True)
class ComparisonRow:
    """A row of the comparison: one variant, with the results or the failure reason of its run for each seed.

    The seed is None if the comparison sets no seeds.
    """

    label: str
    name: str
    settings: Mapping[str, str]
    results: Mapping[int | None, RunResults]
    failures: Mapping[int | None, str]

    @property
    def first_results(self) -> RunResults:
        """The results of the first completed run."""
        return next(iter(self.results.values()))

    @property
    def error_text(self) -> str:
        """The number of failed runs with their reasons; empty if none failed."""
        if not self.failures:
            return ""
        runs = len(self.results) + len(self.failures)
        how_many = "" if runs == 1 else f" in {len(self.failures)} of {runs} seeds"
        return f"failed{how_many}: {'; '.join(dict.fromkeys(self.failures.values()))}"


@dataclass(frozen=True)
class Group:
    """The rows with the same model and facts, which are comparable."""

    title: str
    rows: Sequence[ComparisonRow]

    @cached_property
    def completed(self) -> list[ComparisonRow]:
        """The rows with at least one completed run."""
        return [row for row in self.rows if row.results]

    def styles(self) -> dict[str, Style]:
        """The style of each completed row's line in plots, by label."""
        return {row.label: style(n) for n, row in enumerate(self.rows) if row.results}


def edit_counts(run: RunResults) -> list[int]:
    """The number of edited facts after each batch; the first entry is 0, for the base model."""
    return [0, *accumulate(batch["facts"] for batch in run.record.summary["batches"])]


def recorded_batches(record: RunRecord) -> list[RecordedBatch]:
    """The batches of a completed run, for the recipe of a comparison."""
    batches = record.summary["batches"]
    return [{"batch": batch["batch"], "facts": batch["facts"], "state": batch["state"]} for batch in batches]


def parent_artifacts(lake: Lake, record: RunRecord) -> list[str]:
    """The artifacts of a run that a comparison has as parents, in the order of the run."""
    return [use.artifact for use in record.uses if lake.manifest(use.artifact).kind in PARENT_KINDS]


def read_groups(lake: Lake, rows: Sequence[RecordedRow], parents: Parents) -> list[Group]:
    """The groups of recorded rows; rows of the same group must be adjacent."""
    return [
        Group(title, [_read_row(lake, row, parents) for row in recorded])
        for title, recorded in groupby(rows, key=lambda row: row["group"])
    ]


def _read_row(lake: Lake, row: RecordedRow, parents: Parents) -> ComparisonRow:
    runs = row["runs"]
    return ComparisonRow(
        row["label"], row["name"], dict(row["settings"]),
        {run["seed"]: _read_run(lake, run, parents[run["name"]]) for run in runs if "batches" in run},
        {run["seed"]: run["failed"] for run in runs if "failed" in run},
    )  # fmt: skip


def _read_run(lake: Lake, run: RecordedRun, artifacts: str | Sequence[str]) -> RunResults:
    """The results of a run, from its artifacts alone: a placeholder replaces its record."""
    ids = [artifacts] if isinstance(artifacts, str) else artifacts
    summary = {"batches": run["batches"], "facts": sum(batch["facts"] for batch in run["batches"])}
    record = RunRecord(run["name"], run["name"], {}, None, "", {}, "", 0, 0.0, summary=summary)
    return RunResults(lake, record, {id_: lake.manifest(id_) for id_ in ids})
