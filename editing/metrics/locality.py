"""Locality: do the answers to unrelated questions stay right? (MEND, arXiv 2110.11309; zsRE and EasyEdit)"""

from editflow.editing.metrics.metric import Metric, ScoredPrompt

LOCALITY = Metric(
    "locality", lambda request: tuple(ScoredPrompt(q.prompt, q.answers[0], "") for q in request.locality if q.answers),
    wants_new=False, about="do the answers to unrelated questions stay right?", source="arXiv 2110.11309",
    roles=("locality",),
)  # fmt: skip
