"""What a metric over edit requests declares, and the row that it gives for each prompt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from editflow.editing.requests.record import EditRequest


class ScoredPrompt(NamedTuple):
    """A prompt with the answer that is wanted after it and the one it is compared with; "" where there is none."""

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

    `wants_new` is true if the wanted answer is the new target, false if it is one that must stay. `about` is the
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
    """Prompts after which the new target is wanted instead of the true one."""
    return lambda request: tuple(
        ScoredPrompt(prompt, request.target_new, request.target_true) for prompt in prompts(request)
    )


@dataclass(frozen=True)
class PromptScore:
    """One prompt's outcome.

    nll_new, nll_true: mean NLL (nats) of the tokens of the answer that the edit is to bring, and of the one that was
    or must stay; None where the prompt has no such answer. success: 1.0 when the wanted answer has the lower one,
    None without the two of them. accuracy: 1.0 when each of the wanted answer's `tokens` is the argmax, `hits` of them
    are; `said` has the argmax in place of each. edited: another request changes the answer of this prompt, so it does
    not measure specificity. published: the share of tokens right by the published count, where it was asked for.
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
