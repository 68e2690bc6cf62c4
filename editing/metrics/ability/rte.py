"""RTE: does a text entail a statement? (Dagan et al. 2006 and later; GLUE, arXiv 1804.07461)

Label 0 is entailment and 1 is not, the reverse of "1 is yes". Some published panels swap them.
"""

from editflow.editing.metrics.ability.declaration import AbilitySet

TEMPLATE = "Text: {sentence1}\nStatement: {sentence2}\nDoes the statement follow from the text, Yes or No?\nAnswer:"

RTE = AbilitySet(
    "rte",
    source="Dagan et al. 2006 and later, as in GLUE (arXiv 1804.07461)",
    template=TEMPLATE,
    fields={"sentence1": 0, "sentence2": 0},
    labels={0: "Yes", 1: "No", "entailment": "Yes", "not_entailment": "No"},
)
