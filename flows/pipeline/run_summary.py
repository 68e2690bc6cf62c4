"""The summary of a run, as its record keeps it; storage/run_values.py checks the shape of a record from elsewhere."""

from __future__ import annotations

from typing import Any, TypedDict

Measured = dict[str, Any]
"""The measurements of a state: {metric: {score: percent}}, `perplexity`, {`texts`: {metric: value}}, `ability`."""


class BatchSummary(TypedDict, total=False):
    """A batch: its number from 1, its facts, all facts edited so far, the state after it, its own facts' scores."""

    batch: int
    facts: int
    edited: int
    state: str
    metrics: dict[str, dict[str, float]]


class RunSummary(TypedDict, total=False):
    """What a run has done; which keys are there depends on the flow."""

    facts: int
    state: str | None
    before: Measured
    after: Measured
    batches: list[BatchSummary]
    queue: str
    release: int
    released_before: int
    pending: int
    settled: list[dict[str, Any]]
    prepared: dict[str, str | list[str]]
