"""The metrics over edit requests that there are, by name."""

from __future__ import annotations

from editing.errors import InvalidOption
from editing.metrics.efficacy import EFFICACY
from editing.metrics.locality import LOCALITY
from editing.metrics.metric import Metric
from editing.metrics.neighbourhood import NEIGHBOURHOOD
from editing.metrics.paraphrase import PARAPHRASE
from editing.metrics.portability import PORTABILITY

METRICS: dict[str, Metric] = {
    metric.name: metric for metric in (EFFICACY, PARAPHRASE, NEIGHBOURHOOD, LOCALITY, PORTABILITY)
}


def metric(name: str) -> Metric:
    """The metric of that name, or InvalidOption with the names there are."""
    if name not in METRICS:
        raise InvalidOption(f"unknown metric {name!r}: choose from {', '.join(METRICS)}")
    return METRICS[name]
