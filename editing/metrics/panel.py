"""The registry of metrics over edit requests, measured together so that prompts are shared."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from statistics import fmean

from editing.errors import InvalidOption
from editing.metrics.efficacy import EFFICACY
from editing.metrics.metric import Metric, PromptScore
from editing.metrics.neighbourhood import NEIGHBOURHOOD
from editing.metrics.paraphrase import PARAPHRASE
from editing.metrics.scoring import score
from editing.models.editable import EditableModel
from editing.requests.record import EditRequest

METRICS: dict[str, Metric] = {metric.name: metric for metric in (EFFICACY, PARAPHRASE, NEIGHBOURHOOD)}


def metric(name: str) -> Metric:
    """The metric of that name, or InvalidOption with the names there are."""
    if name not in METRICS:
        raise InvalidOption(f"unknown metric {name!r}: choose from {', '.join(METRICS)}")
    return METRICS[name]


def prompt_count(requests: Sequence[EditRequest], names: Sequence[str]) -> int:
    """Number of different prompts that `measure` will run."""
    return len({prompt for r in requests for name in names for prompt in metric(name).prompts(r)})


def measure(
    model: EditableModel,
    requests: Sequence[EditRequest],
    names: Sequence[str],
    progress: Callable[[int], None] = lambda _prompts: None,
) -> list[PromptScore]:
    """One row per request, metric and prompt."""
    asked = [(r, metric(name), i, p) for r in requests for name in names for i, p in enumerate(metric(name).prompts(r))]
    scores = score(model, [(p, (r.target_new, r.target_true)) for r, _, _, p in asked], progress=progress)
    rows = []
    for (request, kind, index, prompt), (new, true) in zip(asked, scores, strict=True):
        wanted, other = (new, true) if kind.wants_new else (true, new)
        success, accuracy = float(wanted.nll < other.nll), float(wanted.argmax)
        rows.append(PromptScore(request.request_id, kind.name, index, prompt, new.nll, true.nll, success, accuracy))
    return rows


def case_mean(rows: Iterable[tuple[str, float]]) -> float | None:
    """Mean over requests of each request's mean over its prompts, from (request, value); None for no rows."""
    cases: dict[str, list[float]] = {}
    for request, value in rows:
        cases.setdefault(request, []).append(value)
    return fmean(map(fmean, cases.values())) if cases else None
