"""MMLU: questions of 57 subjects with four choices. (Hendrycks et al., arXiv 2009.03300; 0 … 3 are A … D)"""

from editflow.editing.metrics.ability.declaration import AbilitySet

MMLU = AbilitySet(
    "mmlu",
    source="arXiv 2009.03300",
    template=(
        "Question: {question}\nA. {choices[0]}\nB. {choices[1]}\nC. {choices[2]}\nD. {choices[3]}\n"
        "Which is right, A, B, C or D?\nAnswer:"
    ),
    fields={"question": 0, "choices": 4},
    labels={0: "A", 1: "B", 2: "C", 3: "D", "A": "A", "B": "B", "C": "C", "D": "D"},
    label_field="answer",
)
