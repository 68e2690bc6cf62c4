"""CoLA: is a sentence good English? (Warstadt et al., arXiv 1805.12471; GLUE; 0 unacceptable, 1 acceptable)"""

from editflow.editing.metrics.ability.declaration import AbilitySet

COLA = AbilitySet(
    "cola",
    source="arXiv 1805.12471, as in GLUE (arXiv 1804.07461)",
    template="Sentence: {sentence}\nIs the sentence grammatical English, Yes or No?\nAnswer:",
    fields={"sentence": 0},
    labels={0: "No", 1: "Yes", "unacceptable": "No", "acceptable": "Yes"},
)
