"""The summary in the record of a run; storage/run_values.py checks the shape of records from elsewhere."""

from __future__ import annotations

from typing import Any, TypedDict

Measured = dict[str, Any]
"""The measurements of a state: {metric: {score: percent}}, `perplexity`, {`texts`: {metric: value}}, `ability`."""


class BatchSummary(TypedDict, total=False):
    """A batch: number from 1, number of facts, facts edited so far, state after it, scores of its own facts."""

    batch: int
    facts: int
    edited: int
    state: str
    metrics: dict[str, dict[str, float]]


class RunSummary(TypedDict, total=False):
    """The results of a run; the keys depend on the flow."""

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
