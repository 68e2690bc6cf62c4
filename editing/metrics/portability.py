"""Portability: does the model answer questions that follow from the fact? (MQuAKE, arXiv 2305.14795; EasyEdit)"""

from editflow.editing.metrics.metric import Metric, ScoredPrompt

PORTABILITY = Metric(
    "portability",
    lambda request: tuple(ScoredPrompt(q.prompt, q.answers[0], "") for q in request.portability if q.answers),
    wants_new=True, about="does the model answer questions that follow from the fact?", source="arXiv 2305.14795",
    roles=("portability",),
)  # fmt: skip
