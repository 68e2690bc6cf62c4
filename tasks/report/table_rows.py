"""Rows of a report's tables and plots. `editflow scores --json` prints BeforeAfter and Paired rows."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from editflow.editing.metrics.intervals import Interval
from editflow.tasks.report.row_types import RequestRow


class BeforeAfter(TypedDict):
    """A score of the base model and of the last state. `change_unit` is present if the change has another unit."""

    metric: str
    unit: str
    before: Interval
    after: Interval
    change: Interval
    change_unit: NotRequired[str]


class Paired(TypedDict):
    """A score of two runs on their common cases. The other is higher in `better` cases, lower in `worse` ones."""

    metric: str
    cases: int
    one: Interval
    other: Interval
    difference: Interval
    better: int
    worse: int


class BatchScore(TypedDict):
    """The mean of a metric after a batch. `facts` says over which `count` facts."""

    batch: int
    metric: str
    facts: str
    percent: float
    count: int


class BatchPerplexity(TypedDict):
    """The perplexity of held-out text after a batch."""

    batch: int
    perplexity: float


class BatchNorm(TypedDict):
    """‖Δ‖ / ‖W‖ of a layer for one batch, in percent."""

    batch: int
    layer: int
    norm: float


class Retained(TypedDict):
    """The mean of a metric over a batch's facts, in the state after that batch or a later one."""

    metric: str
    batch: int
    state: int
    percent: float


class Verdict(TypedDict):
    """The result for a fact after the last batch, and the reasons of its failures.

    `said`: the model gives the new answer. It and `nll_new` are None if the fact was not evaluated. `hurt`: prompts of
    neighbours that lost their answer. `loss` and `delta` (‖δ‖ / ‖h‖) are of its target value, None if it has none.
    """

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
    """A layer's null space: `free` of `width` directions, their percentage of the trace, their largest eigenvalue."""

    layer: int
    width: int
    free: int
    share: float
    limit: float


class SpectrumPoint(TypedDict):
    """An eigenvalue at its rank from the largest. The null space begins after rank `edge`."""

    layer: int
    edge: int
    threshold: float
    place: int
    eigenvalue: float


class NullSpaceUse(TypedDict):
    """The mean of ‖P k‖² / ‖k‖² over a batch's keys in a layer, in percent."""

    batch: int
    layer: int
    share: float


class StageTime(TypedDict):
    """The artifacts of a stage, its seconds in this run, and the earlier seconds that computed the reused artifacts."""

    stage: str
    created: int
    reused: int
    seconds: float
    saved: float


class Answers(TypedDict):
    """A row of the kind `answers`: both models' continuations of a prompt."""

    request: str
    prompt: str
    base: str
    edited: str


class Example(TypedDict):
    """Both models' answers as (word, whether the other answer has it too)."""

    request: RequestRow
    prompt: str
    base: list[tuple[str, bool]]
    edited: list[tuple[str, bool]]
