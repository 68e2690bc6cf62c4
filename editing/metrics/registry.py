"""The registry of metrics over edit requests."""

from __future__ import annotations

from editflow.editing.errors import InvalidOption
from editflow.editing.metrics.efficacy import EFFICACY
from editflow.editing.metrics.locality import LOCALITY
from editflow.editing.metrics.metric import Metric
from editflow.editing.metrics.neighbourhood import NEIGHBOURHOOD
from editflow.editing.metrics.paraphrase import PARAPHRASE
from editflow.editing.metrics.portability import PORTABILITY

METRICS: dict[str, Metric] = {
    metric.name: metric for metric in (EFFICACY, PARAPHRASE, NEIGHBOURHOOD, LOCALITY, PORTABILITY)
}


def metric(name: str) -> Metric:
    """Return the metric of that name. Raises InvalidOption, which lists the names."""
    if name not in METRICS:
        raise InvalidOption(f"unknown metric {name!r}: choose from {', '.join(METRICS)}")
    return METRICS[name]
