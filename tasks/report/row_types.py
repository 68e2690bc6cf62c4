"""Rows of a run's artifacts as a report reads them: the columns of their kinds, and columns that the report adds."""

from __future__ import annotations

from typing import TypedDict


class RequestRow(TypedDict):
    """A request. `batch` counts from 1."""

    request: str
    position: int
    relation: str
    subject: str
    prompt: str
    target_new: str
    target_true: str
    paraphrase_prompts: list[str]
    neighborhood_prompts: list[str]
    batch: int


class PromptRow(TypedDict, total=False):
    """An evaluated prompt in a state. `n` is the number of the state, `said_before` the base model's `said`."""

    request: str
    metric: str
    prompt_index: int
    prompt: str
    nll_new: float | None
    nll_true: float | None
    success: float | None
    accuracy: float
    tokens: int
    hits: int
    edited: bool
    published: float | None
    said: list[int] | None
    n: int
    said_before: list[int] | None


class PerplexityRow(TypedDict):
    """A held-out document in a state: its number of tokens and their summed NLL in nats."""

    document: str
    tokens: int
    nll: float


class TargetValueRow(TypedDict):
    """The optimisation of a fact's target value, without the value itself."""

    request: str
    layer: int
    h_norm: float
    delta_norm: float
    loss: float
    nll: float
    kl: float
    weight_decay: float
    steps: int
    stopped: str


class NormRow(TypedDict):
    """The norms of a change and of the changed weight. `n` is the number of the state."""

    layer: int
    tensor: str
    form: str
    weight_digest: str
    change_norm: float
    weight_norm: float
    n: int


class RecordedBatch(TypedDict):
    """A batch in a run's summary and in the recipe of a comparison: its number, its number of facts, its state's id."""

    batch: int
    facts: int
    state: str
