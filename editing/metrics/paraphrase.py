"""Paraphrase (generalization): do other wordings of the fact give the new target? (arXiv 2202.05262, §3.3)"""

from editflow.editing.metrics.metric import Metric, new_answer

PARAPHRASE = Metric(
    "paraphrase", new_answer(lambda request: request.paraphrase_prompts), wants_new=True,
    about="do other wordings of the fact give the new target?", source="arXiv 2202.05262, §3.3",
)  # fmt: skip
