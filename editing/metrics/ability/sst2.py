"""SST-2: is a film review's sentence positive? (Socher et al. 2013; GLUE, arXiv 1804.07461; 0 negative, 1 positive)"""

from editflow.editing.metrics.ability.declaration import AbilitySet

SST2 = AbilitySet(
    "sst2",
    source="Socher et al. 2013, as in GLUE (arXiv 1804.07461)",
    template="Review: {sentence}\nSentiment:",
    fields={"sentence": 0},
    labels={0: "negative", 1: "positive", "negative": "negative", "positive": "positive"},
)
