"""Rows of the tables and plots of a report; `editflow scores --json` prints those of BeforeAfter and Paired."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from editflow.editing.metrics.intervals import Interval
from editflow.tasks.report.row_types import RequestRow


class BeforeAfter(TypedDict):
    """A score of the base and of the last state; `change` has the same unit unless `change_unit` is given."""

    metric: str
    unit: str
    before: Interval
    after: Interval
    change: Interval
    change_unit: NotRequired[str]


class Paired(TypedDict):
    """A score of two runs on the cases of both. `better` and `worse` count the cases of the other run."""

    metric: str
    cases: int
    one: Interval
    other: Interval
    difference: Interval
    better: int
    worse: int


class BatchScore(TypedDict):
    """A metric after a batch, of the facts that `facts` names."""

    batch: int
    metric: str
    facts: str
    percent: float
    count: int


class BatchPerplexity(TypedDict):
    """The perplexity of held-out documents after a batch."""

    batch: int
    perplexity: float


class BatchNorm(TypedDict):
    """‖Δ‖ / ‖W‖ of a layer in a batch, in percent."""

    batch: int
    layer: int
    norm: float


class Retained(TypedDict):
    """A metric of a batch's facts in a later state."""

    metric: str
    batch: int
    state: int
    percent: float


class Verdict(TypedDict):
    """The outcome of a fact. `said` and `nll_new` are None if not evaluated; `reasons` is empty for a success."""

    batch: int
    relation: str
    subject: str
    target_new: str
    target_true: str
    prompt: str
    said: bool | None
    nll_new: float | None
    hurt: list[str]
    loss: float | None
    delta: float | None
    reasons: list[str]


class NullSpaceSize(TypedDict):
    """A layer's null space: its dimensions, their share of the trace in percent, and their largest eigenvalue."""

    layer: int
    width: int
    free: int
    share: float
    limit: float


class SpectrumPoint(TypedDict):
    """An eigenvalue by its place from the largest, with the place where the null space begins."""

    layer: int
    edge: int
    threshold: float
    place: int
    eigenvalue: float


class NullSpaceUse(TypedDict):
    """‖P k‖² / ‖k‖² of a batch's keys in a layer, in percent."""

    batch: int
    layer: int
    share: float


class StageTime(TypedDict):
    """A stage's artifacts, its seconds in this run, and the seconds that were spent on what it reused."""

    stage: str
    created: int
    reused: int
    seconds: float
    saved: float


class Answers(TypedDict):
    """A row of the kind `answers`: the continuations of a prompt by both models."""

    request: str
    prompt: str
    base: str
    edited: str


class Example(TypedDict):
    """Answers word by word, with whether the other model has the word too."""

    request: RequestRow
    prompt: str
    base: list[tuple[str, bool]]
    edited: list[tuple[str, bool]]
