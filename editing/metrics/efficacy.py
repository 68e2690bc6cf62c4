"""Efficacy: does the edited prompt give the new target? (ROME, arXiv 2202.05262, §3.3: efficacy score)"""

from editflow.editing.metrics.metric import Metric, new_answer

EFFICACY = Metric(
    "efficacy",
    new_answer(lambda request: (request.filled,)),
    wants_new=True,
    about="does the edited prompt itself give the new target?",
    source="arXiv 2202.05262, §3.3",
)
