"""The declaration of a metric over edit requests, and its result for a prompt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from editflow.editing.requests.record import EditRequest


class ScoredPrompt(NamedTuple):
    """A prompt, the answer wanted after it, and the other answer to compare it with ("" if there is none)."""

    prompt: str
    wanted: str
    other: str

    @property
    def answers(self) -> tuple[str, ...]:
        """The answers to score, the wanted one first."""
        return (self.wanted, self.other) if self.other else (self.wanted,)


@dataclass(frozen=True)
class Metric:
    """Which prompts of a request to score, and with which answers; see `efficacy.py` for the shortest one.

    `wants_new` is true if the expected answer is the new target, false if it is one that must stay. `about` is the
    question that the metric answers, `source` the paper, or "no paper". `roles` are the request's lists of questions
    that `asks` reads. Scores of answers are columns (`score_columns.py`); metrics of generated text are in `texts/`.
    """

    name: str
    asks: Callable[[EditRequest], tuple[ScoredPrompt, ...]]
    wants_new: bool
    about: str
    source: str
    roles: tuple[str, ...] = ()


def new_answer(prompts: Callable[[EditRequest], tuple[str, ...]]) -> Callable[[EditRequest], tuple[ScoredPrompt, ...]]:
    """Build a metric's `asks` that wants the new target instead of the true one after these prompts."""
    return lambda request: tuple(
        ScoredPrompt(prompt, request.target_new, request.target_true) for prompt in prompts(request)
    )


@dataclass(frozen=True)
class PromptScore:
    """The result for one prompt.

    nll_new, nll_true: mean NLL (nats) per token of the new answer, and of the answer that was right or must stay; None
    if the prompt has no such answer. success: 1.0 if the expected answer has the lower NLL, None without both.
    accuracy: 1.0 if each of the expected answer's `tokens` is the argmax; `hits` counts those that are. said: the
    argmax at the place of each token. edited: another request changes the answer to this prompt, so it does not measure
    specificity. published: the share of right tokens as published code counts them, if requested.
    """

    request_id: str
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
    published: float | None = None
    said: tuple[int, ...] = ()
