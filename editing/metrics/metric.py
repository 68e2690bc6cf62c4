"""What a metric over edit requests declares, and the row it gives per prompt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from editing.requests.record import EditRequest


@dataclass(frozen=True)
class Metric:
    """Which prompts of a request it asks, and whether the new target or the true one should win."""

    name: str
    prompts: Callable[[EditRequest], tuple[str, ...]]
    wants_new: bool
    source: str


@dataclass(frozen=True)
class PromptScore:
    """One prompt's outcome. `success` 1.0 when the wanted target has the lower mean NLL, `accuracy` 1.0 when each of
    the wanted target's tokens is the argmax."""

    request_id: str
    metric: str
    prompt_index: int
    prompt: str
    nll_new: float
    nll_true: float
    success: float
    accuracy: float
