"""Neighbourhood (specificity): do other subjects with the same true target keep it? (arXiv 2202.05262, §3.3)"""

from editflow.editing.metrics.metric import Metric, ScoredPrompt
from editflow.editing.requests.record import EditRequest


def _asks(request: EditRequest) -> tuple[ScoredPrompt, ...]:
    true, new = request.target_true, request.target_new
    return tuple(ScoredPrompt(prompt, true, new) for prompt in request.neighborhood_prompts) if true else ()


NEIGHBOURHOOD = Metric(
    "neighbourhood",
    _asks,
    wants_new=False,
    about="do other subjects with the same true target keep it?",
    source="arXiv 2202.05262, §3.3",
)
