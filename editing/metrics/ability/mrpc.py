"""MRPC: do two sentences mean the same? (Dolan & Brockett 2005; GLUE, arXiv 1804.07461; 0 no, 1 yes: equivalent)"""

from editflow.editing.metrics.ability.declaration import AbilitySet

MRPC = AbilitySet(
    "mrpc",
    source="Dolan & Brockett 2005, as in GLUE (arXiv 1804.07461)",
    template="First sentence: {sentence1}\nSecond sentence: {sentence2}\nDo both say the same, Yes or No?\nAnswer:",
    fields={"sentence1": 0, "sentence2": 0},
    labels={0: "No", 1: "Yes", "not_equivalent": "No", "equivalent": "Yes"},
)
