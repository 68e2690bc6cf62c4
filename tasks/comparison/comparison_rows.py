"""The rows of a comparison, read from its runs' artifacts; no run's name or time is part of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, groupby
from typing import Any, NotRequired, TypedDict, cast

from editflow.storage.artifacts.store import Lake
from editflow.storage.records.runs import RunRecord
from editflow.tasks.comparison.styles import Style, style
from editflow.tasks.report.run_results import RunResults
from editflow.tasks.stages.stage import Parents

READ = (
    "model", "requests", "evaluation", "perplexity", "generations", "text_scores", "hidden_states", "drift",
    "drift_points", "ability", "state", "keys", "spectrum", "null_space",
)  # fmt: skip
"""The kinds of artifact that a comparison is made from."""


class RecordedBatch(TypedDict):
    """A batch of a run, as the recipe of a comparison has it."""

    batch: int
    facts: int
    state: str


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
    """A row: one way to edit, with a run for each seed (None: without) and the reasons of the runs that failed."""

    label: str
    name: str
    settings: Mapping[str, str]
    results: Mapping[int | None, RunResults]
    failures: Mapping[int | None, str]

    @property
    def first_results(self) -> RunResults:
        """The first run that was completed."""
        return next(iter(self.results.values()))

    @property
    def error_text(self) -> str:
        """The failures in words; empty if there are none."""
        if not self.failures:
            return ""
        runs = len(self.results) + len(self.failures)
        how_many = "" if runs == 1 else f" in {len(self.failures)} of {runs} seeds"
        return f"failed{how_many}: {'; '.join(dict.fromkeys(self.failures.values()))}"


@dataclass(frozen=True)
class Group:
    """Rows of one model and the same facts: those that can be set side by side."""

    title: str
    rows: Sequence[ComparisonRow]

    @cached_property
    def completed(self) -> list[ComparisonRow]:
        """The rows that have scores."""
        return [entry for entry in self.rows if entry.results]

    def styles(self) -> dict[str, Style]:
        """How the line of each row that has one is drawn."""
        return {entry.label: style(n) for n, entry in enumerate(self.rows) if entry.results}


def edits(run_results: RunResults) -> list[int]:
    """How many facts had been edited in each state, from 0 on."""
    return [0, *accumulate(batch["facts"] for batch in run_results.record.summary["batches"])]


def rows_of(groups: Sequence[Group]) -> list[tuple[Group, ComparisonRow]]:
    """Every row with its group."""
    return [(group, entry) for group in groups for entry in group.rows]


def described(record: RunRecord) -> list[RecordedBatch]:
    """A completed run's batches, as the recipe of a comparison has them."""
    batches = record.summary["batches"]
    return [{"batch": batch["batch"], "facts": batch["facts"], "state": batch["state"]} for batch in batches]


def sources(lake: Lake, record: RunRecord) -> list[str]:
    """The artifacts of a run that a comparison is made from, in the order of the run."""
    return [use.artifact for use in record.uses if lake.manifest(use.artifact).kind in READ]


def read_groups(lake: Lake, rows: Sequence[Mapping[str, Any]], parents: Parents) -> list[Group]:
    """The groups of a recipe's rows; rows of one `group` follow each other."""
    return [
        Group(str(title), [_entry(lake, row, parents) for row in mine])
        for title, mine in groupby(cast("Sequence[RecordedRow]", rows), key=lambda row: row["group"])
    ]


def _entry(lake: Lake, row: RecordedRow, parents: Parents) -> ComparisonRow:
    runs = row["runs"]
    return ComparisonRow(
        row["label"], row["name"], dict(row["settings"]),
        {run["seed"]: _run_results(lake, run, parents[run["name"]]) for run in runs if "batches" in run},
        {run["seed"]: run["failed"] for run in runs if "failed" in run},
    )  # fmt: skip


def _run_results(lake: Lake, run: RecordedRun, artifacts: str | Sequence[str]) -> RunResults:
    """A run's results from artifacts alone: no plot needs its record."""
    ids = [artifacts] if isinstance(artifacts, str) else artifacts
    summary = {"batches": run["batches"], "facts": sum(batch["facts"] for batch in run["batches"])}
    record = RunRecord(run["name"], run["name"], {}, None, "", {}, "", 0, 0.0, summary=summary)
    return RunResults(lake, record, {id_: lake.manifest(id_) for id_ in ids})
