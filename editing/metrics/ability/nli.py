"""NLI with GLUE's two labels: the same question as in RTE, with the label as text. (arXiv 1804.07461)

Numeric labels are refused, since 1 is "neutral" in one collection and "not entailed" in another.
"""

from editflow.editing.metrics.ability.declaration import AbilitySet
from editflow.editing.metrics.ability.rte import TEMPLATE

NLI = AbilitySet(
    "nli",
    source="two-way entailment as in GLUE (arXiv 1804.07461)",
    template=TEMPLATE,
    fields={"sentence1": 0, "sentence2": 0},
    labels={"entailment": "Yes", "not_entailment": "No"},
)
