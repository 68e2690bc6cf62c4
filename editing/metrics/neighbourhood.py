"""Neighbourhood (specificity): do other subjects with the same true target keep it? (arXiv 2202.05262, §3.4)"""

from editing.metrics.metric import Metric

NEIGHBOURHOOD = Metric(
    "neighbourhood",
    lambda request: request.neighborhood_prompts,
    wants_new=False,
    source="arXiv 2202.05262, §3.4",
)
